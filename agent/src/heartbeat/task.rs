//! Owns the status: on every change of the facts it judges, numbers, publishes, then stores.
//!
//! Conditions do not wait for the disk: they are published first and stored afterwards.

use std::sync::Arc;

use serde_json::json;
use station_proto::condition::Condition;
use station_proto::heartbeat::{Phase, Status};
use station_proto::time::Time;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Facts, compose};
use crate::base::chain::Chain;
use crate::os::clock;
use crate::store::{NewEvent, Store};

/// The last status and where it is kept.
pub(super) struct Judged {
    store: Store,
    status: Arc<Status>,
}

pub(super) async fn run(
    mut judged: Judged,
    mut facts: watch::Receiver<Facts>,
    publish: watch::Sender<Arc<Status>>,
    cancel: CancellationToken,
) {
    loop {
        let latest = facts.borrow_and_update().clone();
        if let Some(changed) = judged.update(&latest).await {
            publish.send_replace(judged.status());
            judged.keep(changed).await;
        }
        tokio::select! {
            // cancel-safe: a token loses nothing
            () = cancel.cancelled() => return,
            // cancel-safe: the change stays marked until it is borrowed
            changed = facts.changed() => if changed.is_err() { return },
        }
    }
}

/// What an update changed beside the status itself.
struct Changed {
    conditions: bool,
}

impl Judged {
    /// Takes up the conditions that held when stationd ended.
    pub(super) async fn load(store: &Store, facts: &Facts) -> Self {
        let conditions = super::store::load(store).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "the earlier conditions are unknown");
            Vec::new()
        });
        let now = clock::now();
        let seq = store.last_seq().await.unwrap_or(0);
        let blank = Status {
            seq,
            phase: Phase::Starting,
            ready: false,
            since: Time(now.wall),
            version: String::new(),
            name: String::new(),
            public_url: String::new(),
            conditions,
            apps: Vec::new(),
            mounts: Vec::new(),
        };
        let status = Arc::new(compose::status(facts, &blank, now));
        Self { store: store.clone(), status }
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Judges again; `None` if nothing changed.
    async fn update(&mut self, facts: &Facts) -> Option<Changed> {
        let mut next = compose::status(facts, &self.status, clock::now());
        if next == *self.status {
            return None;
        }
        let (set, cleared) = compose::difference(&self.status.conditions, &next.conditions);
        let conditions = !(set.is_empty() && cleared.is_empty());
        for one in set {
            self.store.note(event("condition.set", one));
        }
        for one in cleared {
            self.store.note(event("condition.cleared", one));
        }
        if next.phase != self.status.phase {
            self.store.note(phase_event(next.phase));
        }
        next.seq = self.number().await;
        self.status = Arc::new(next);
        Some(Changed { conditions })
    }

    /// Stores what the next start needs to know.
    async fn keep(&self, changed: Changed) {
        if !changed.conditions {
            return;
        }
        let conditions = self.status.conditions.clone();
        if let Err(error) = super::store::save(&self.store, conditions).await {
            tracing::warn!(error = %Chain(&error), "the conditions were not stored");
        }
    }

    /// The number of the event that changed the status: greater than that of any status before.
    async fn number(&self) -> u64 {
        let last = self.store.last_seq().await.unwrap_or(0);
        if last > self.status.seq {
            return last;
        }
        self.store.note(NewEvent::new("status.changed", "", "the status changed"));
        self.store.last_seq().await.unwrap_or(0).max(self.status.seq + 1)
    }
}

fn event(kind: &'static str, condition: &Condition) -> NewEvent {
    let message = format!("{}: {}", condition.kind, condition.message);
    NewEvent::new(kind, condition.subject.clone(), message)
        .with(json!({ "type": condition.kind, "reason": condition.reason }))
}

fn phase_event(phase: Phase) -> NewEvent {
    let phase = serde_json::to_value(phase).unwrap_or_default();
    let word = phase.as_str().unwrap_or_default().to_owned();
    NewEvent::new("phase", "", format!("the phase is {word}")).with(json!({ "phase": phase }))
}
