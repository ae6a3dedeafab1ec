//! Opens the file and brings every feature's tables to the version that this release knows.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

/// What a feature keeps: its name begins its tables' names; migration `n` leads from version `n`
/// to `n + 1`.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    pub name: &'static str,
    pub migrations: &'static [&'static str],
}

/// The store's own tables.
const OWN: Feature = Feature {
    name: "events",
    migrations: &["CREATE TABLE events (
            seq INTEGER PRIMARY KEY,
            at_ms INTEGER NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            message TEXT NOT NULL,
            data TEXT NOT NULL
        ) STRICT;
        CREATE TABLE events_sequence (reserved INTEGER NOT NULL, trimmed INTEGER NOT NULL) STRICT;
        INSERT INTO events_sequence VALUES (0, 0);"],
};

/// The write-ahead log is grown to this size once, so that a full disk still takes small writes.
const WAL_BYTES: u64 = 1024 * 1024;

pub(super) fn open(path: &Path, features: &[Feature]) -> Result<Connection, StoreError> {
    let fail = |source| StoreError::Open { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(fail)?;
    settings(&connection).map_err(fail)?;
    for feature in std::iter::once(&OWN).chain(features) {
        migrate(&connection, path, *feature)?;
    }
    if let Err(error) = grow_wal(&connection, path) {
        tracing::warn!(%error, "the write-ahead log could not be grown in advance");
    }
    Ok(connection)
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -512)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // A close that removes the log would give back the blocks that were grown in advance.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema (feature TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;",
    )
}

fn migrate(connection: &Connection, path: &Path, feature: Feature) -> Result<(), StoreError> {
    let version: i64 = connection
        .query_row("SELECT version FROM schema WHERE feature = ?1", [feature.name], |row| {
            row.get(0)
        })
        .optional()
        .map_err(|source| StoreError::Open { path: path.to_owned(), source })?
        .unwrap_or(0);
    let known = i64::try_from(feature.migrations.len()).unwrap_or(i64::MAX);
    if version > known {
        let (path, feature) = (path.to_owned(), feature.name);
        return Err(StoreError::Newer { path, feature, found: version, known });
    }
    let fail =
        |version| move |source| StoreError::Migrate { feature: feature.name, version, source };
    if version > 0 && version < known {
        backup(connection, path, feature.name, known).map_err(fail(known))?;
    }
    let done = usize::try_from(version).unwrap_or(0);
    for (step, sql) in feature.migrations.iter().enumerate().skip(done) {
        let version = i64::try_from(step + 1).unwrap_or(i64::MAX);
        let whole = format!(
            "BEGIN IMMEDIATE; {sql};
             INSERT INTO schema VALUES ('{}', {version})
               ON CONFLICT (feature) DO UPDATE SET version = excluded.version;
             COMMIT;",
            feature.name
        );
        connection.execute_batch(&whole).map_err(fail(version))?;
    }
    Ok(())
}

/// Keeps a whole copy beside the file, so that a downgrade has something to go back to.
fn backup(
    connection: &Connection,
    path: &Path,
    feature: &str,
    version: i64,
) -> rusqlite::Result<()> {
    let copy = format!("{}.before-{feature}-{version}", path.display());
    if Path::new(&copy).exists() {
        return Ok(());
    }
    connection.execute("VACUUM INTO ?1", [&copy])?;
    tracing::info!(copy, "kept a copy of the database before changing its tables");
    Ok(())
}

fn grow_wal(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    if std::fs::metadata(wal_of(path)).is_ok_and(|file| file.len() >= WAL_BYTES) {
        return Ok(());
    }
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE schema_filler (bytes BLOB);
         INSERT INTO schema_filler VALUES (zeroblob({WAL_BYTES}));
         DROP TABLE schema_filler;
         COMMIT;"
    ))?;
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_row| Ok(()))
}

/// SQLite appends `-wal` to the whole name.
fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
