//! Keeps since when each condition holds, over restarts.

use rusqlite::params;
use station_proto::condition::{Condition, Truth};
use station_proto::time::Time;

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

/// Replaces the stored list.
pub(super) async fn save(store: &Store, conditions: Vec<Condition>) -> Result<(), StoreError> {
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
