//! Owns the status: on every change of the facts it judges, numbers, publishes.
//!
//! Conditions do not wait for the disk: a part of its own stores them.

use std::sync::Arc;

use serde_json::json;
use station_proto::condition::Condition;
use station_proto::heartbeat::{Phase, Status};
use station_proto::time::Time;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Facts, Ledger, compose};
use crate::base::chain::Chain;
use crate::base::tasks::pulse::Pulse;
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
    (publish, publish_ledger): (watch::Sender<Arc<Status>>, watch::Sender<Arc<Ledger>>),
    (mut pulse, cancel): (Pulse, CancellationToken),
) {
    loop {
        let latest = facts.borrow_and_update().clone();
        if judged.update(&latest).await {
            publish_ledger.send_modify(|ledger| Arc::make_mut(ledger).take(judged.status()));
            publish.send_replace(judged.status());
        }
        tokio::select! {
            // cancel-safe: a token loses nothing
            () = cancel.cancelled() => return,
            // cancel-safe: the change stays marked until it is borrowed
            changed = facts.changed() => if changed.is_err() { return },
            // cancel-safe: Pulse::sign is
            () = pulse.sign() => {}
        }
    }
}

impl Judged {
    /// Takes up the conditions that held when stationd ended.
    pub(super) async fn load(store: &Store, facts: &Facts) -> Self {
        let conditions = super::store::load(store).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "the earlier conditions are unknown");
            Vec::new()
        });
        let now = clock::now();
        // The status that an earlier stationd had at the last number was another one: a poller that
        // holds it must not hear that nothing changed.
        store.note(started());
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
            gpus: Vec::new(),
        };
        let status = Arc::new(compose::status(facts, &blank, now));
        Self { store: store.clone(), status }
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Judges again; `false` if nothing changed.
    async fn update(&mut self, facts: &Facts) -> bool {
        let mut next = compose::status(facts, &self.status, clock::now());
        if next == *self.status {
            return false;
        }
        let (set, cleared) = compose::difference(&self.status.conditions, &next.conditions);
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
        true
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

fn started() -> NewEvent {
    let version = env!("CARGO_PKG_VERSION");
    let message = format!("stationd {version} started");
    NewEvent::new("daemon.started", "", message).with(json!({ "version": version }))
}

fn phase_event(phase: Phase) -> NewEvent {
    let phase = serde_json::to_value(phase).unwrap_or_default();
    let word = phase.as_str().unwrap_or_default().to_owned();
    NewEvent::new("phase", "", format!("the phase is {word}")).with(json!({ "phase": phase }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::tasks::Tasks;

    #[tokio::test]
    async fn a_hung_disk_holds_up_no_status() {
        let folder = tempfile::tempdir().unwrap();
        let features = [super::super::FEATURE];
        let store = Store::open(&folder.path().join("db"), &features).unwrap();
        let (tasks, _ended) = Tasks::new();
        let (facts, facts_rx) = watch::channel(Facts::default());
        let mut status = super::super::spawn(&tasks, &store, facts_rx).await.status;
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (other, (busy, busy_rx)) = (store.clone(), tokio::sync::oneshot::channel());
        tasks.work(async move {
            let hang = other.write(move |_tx| {
                busy.send(()).unwrap_or_default();
                released.recv().unwrap_or_default();
                Ok(())
            });
            drop(hang.await);
        });
        busy_rx.await.unwrap();
        // Each of them sets or clears a condition, which is stored.
        for round in 0..3_u32 {
            let why = (round % 2 == 0).then(|| format!("round {round}"));
            facts.send_modify(|facts| facts.config_rejected.clone_from(&why));
            let shown = status.wait_for(|status| status.conditions.is_empty() == why.is_none());
            tokio::time::timeout(Duration::from_secs(3), shown).await.unwrap().unwrap();
        }
        drop(release);
        // What the disk takes in the end is the latest.
        let stored = async {
            while super::super::store::load(&store).await.unwrap().len() != 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(15), stored).await.unwrap();
        tasks.cancel();
    }
}
