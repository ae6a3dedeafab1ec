//! What is remembered of an app over restarts of stationd and of the machine.
//!
//! A row is written whole. Writes may overtake each other, so each has a revision and an older one
//! never replaces a newer.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use station_proto::cause::Cause;

use super::state::Remembered;
use crate::base::ids::AppName;
use crate::store::{Feature, Store, StoreError};

/// The tables of this feature.
pub const FEATURE: Feature = Feature {
    name: "apps",
    migrations: &[
        "CREATE TABLE apps_app (
        name TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        wanted INTEGER,
        generation INTEGER NOT NULL,
        ended_generation INTEGER NOT NULL,
        last_end TEXT
    ) STRICT",
        "ALTER TABLE apps_app ADD COLUMN kernels_told INTEGER NOT NULL DEFAULT 0",
    ],
};

/// One app's row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) revision: i64,
    pub(super) wanted: Option<bool>,
    pub(super) generation: u64,
    /// The generation that `last_end` tells of.
    pub(super) ended_generation: u64,
    pub(super) last_end: Option<Cause>,
    /// How many ends of kernels of this generation have been told of.
    pub(super) kernels_told: u64,
}

impl Row {
    pub(super) fn remembered(&self) -> Remembered {
        Remembered {
            wanted: self.wanted,
            generation: self.generation,
            last_end: self.last_end.clone(),
        }
    }
}

/// Every app that there is a row of.
pub(super) async fn load(store: &Store) -> Result<BTreeMap<AppName, Row>, StoreError> {
    store.read(read_all).await
}

fn read_all(connection: &Connection) -> rusqlite::Result<BTreeMap<AppName, Row>> {
    let mut query = connection.prepare(
        "SELECT name, revision, wanted, generation, ended_generation, last_end, kernels_told \
         FROM apps_app",
    )?;
    let rows = query.query_map([], |row| {
        let last_end: Option<String> = row.get(5)?;
        let parsed = Row {
            revision: row.get(1)?,
            wanted: row.get(2)?,
            generation: u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default(),
            ended_generation: u64::try_from(row.get::<_, i64>(4)?).unwrap_or_default(),
            last_end: last_end.and_then(|text| serde_json::from_str(&text).ok()),
            kernels_told: u64::try_from(row.get::<_, i64>(6)?).unwrap_or_default(),
        };
        Ok((row.get::<_, String>(0)?, parsed))
    })?;
    // A name that is none any more belongs to no app.
    let named = rows.filter_map(|row| match row {
        Ok((name, row)) => Some(Ok((AppName::parse(&name).ok()?, row))),
        Err(error) => Some(Err(error)),
    });
    named.collect()
}

/// Writes the row unless a newer one is there; returns when it is on disk.
pub(super) async fn save(store: &Store, name: AppName, row: Row) -> Result<(), StoreError> {
    let last_end = row.last_end.as_ref().and_then(|end| serde_json::to_string(end).ok());
    let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
    store
        .write(move |tx| {
            let newer: Option<i64> = tx
                .query_row(
                    "SELECT revision FROM apps_app WHERE name = ?1 AND revision >= ?2",
                    params![name.as_str(), row.revision],
                    |found| found.get(0),
                )
                .optional()?;
            if newer.is_none() {
                tx.execute(
                    "INSERT OR REPLACE INTO apps_app VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        name.as_str(),
                        row.revision,
                        row.wanted,
                        number(row.generation),
                        number(row.ended_generation),
                        last_end,
                        number(row.kernels_told),
                    ],
                )?;
            }
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_older_revision_never_replaces_a_newer() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.db"), &[FEATURE]).unwrap();
        let name = AppName::parse("lab").unwrap();
        let row = |revision, generation| Row {
            revision,
            generation,
            wanted: Some(false),
            ..Row::default()
        };
        save(&store, name.clone(), row(2, 7)).await.unwrap();
        save(&store, name.clone(), row(1, 6)).await.unwrap();
        assert_eq!(load(&store).await.unwrap().get(&name), Some(&row(2, 7)));
        save(&store, name.clone(), row(3, 8)).await.unwrap();
        assert_eq!(load(&store).await.unwrap().get(&name), Some(&row(3, 8)));
        store.close().await;
    }
}
