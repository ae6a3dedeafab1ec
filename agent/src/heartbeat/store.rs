//! Keeps since when each condition holds, over restarts.

use std::sync::Arc;

use rusqlite::params;
use station_proto::condition::{Condition, Truth};
use station_proto::heartbeat::Status;
use station_proto::time::Time;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::base::chain::Chain;
use crate::store::{Feature, Store, StoreError};

pub const FEATURE: Feature = Feature {
    name: "heartbeat",
    migrations: &["CREATE TABLE heartbeat_condition (
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            PRIMARY KEY (kind, subject)
        ) STRICT"],
};

/// What held when stationd ended. Only type, subject and `since` are known of it.
pub(super) async fn load(store: &Store) -> Result<Vec<Condition>, StoreError> {
    store
        .read(|connection| {
            connection
                .prepare("SELECT kind, subject, since_ms FROM heartbeat_condition")?
                .query_map([], |row| {
                    Ok(Condition {
                        kind: row.get(0)?,
                        subject: row.get(1)?,
                        status: Truth::Unknown,
                        reason: "Restarted".to_owned(),
                        message: String::new(),
                        action: String::new(),
                        since: Time::from_ms(row.get(2)?)
                            .unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH)),
                    })
                })?
                .collect()
        })
        .await
}

/// Stores the latest conditions whenever they change, until the stop; the heartbeat does not wait
/// for it. What the disk did not take is stored with the next change.
pub(super) async fn keep(
    store: Store,
    mut status: watch::Receiver<Arc<Status>>,
    cancel: CancellationToken,
) {
    // What was loaded at the start is judged, and stored, once more.
    let mut stored: Vec<Condition> = Vec::new();
    let mut first = true;
    loop {
        let latest = status.borrow_and_update().conditions.clone();
        if first || latest != stored {
            first = false;
            let saving = save(&store, latest.clone());
            // At the stop the write is in the store's hands, which closes last.
            match cancel.run_until_cancelled(saving).await {
                None => return,
                Some(Ok(())) => stored = latest,
                Some(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "the conditions were not stored");
                }
            }
        }
        match cancel.run_until_cancelled(status.changed()).await {
            Some(Ok(())) => {}
            _ => return,
        }
    }
}

/// Replaces the stored list.
async fn save(store: &Store, conditions: Vec<Condition>) -> Result<(), StoreError> {
    store
        .write(move |tx| {
            tx.execute("DELETE FROM heartbeat_condition", [])?;
            for one in &conditions {
                tx.execute(
                    "INSERT INTO heartbeat_condition VALUES (?1, ?2, ?3)",
                    params![one.kind, one.subject, one.since.as_ms()],
                )?;
            }
            Ok(())
        })
        .await
}
