//! Opens the file and brings every feature's tables to the version that this release knows.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use crate::base::chain::Chain;
use crate::os::file::{self, FileError};

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
    make_private(path).map_err(StoreError::Private)?;
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

/// The file holds hashes of secrets and what people do: it is its owner's alone. SQLite gives the
/// mode of the database to the files that it makes beside it; those of an earlier release, and
/// the copies, are put right here.
fn make_private(path: &Path) -> Result<(), FileError> {
    file::make_private(path)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let unreadable = |source| FileError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let other = entry.file_name();
        let more = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let ours =
            |more: &[u8]| more == b"-wal" || more == b"-shm" || more.starts_with(b".before-");
        if more.is_some_and(ours) {
            let private = std::fs::Permissions::from_mode(0o600);
            if let Err(error) = std::fs::set_permissions(entry.path(), private) {
                let path = entry.path();
                tracing::warn!(%error, path = %path.display(), "others may be able to read it");
            }
        }
    }
    Ok(())
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
        let copy = format!("{}.before-{}-{known}", path.display(), feature.name);
        backup(connection, Path::new(&copy)).map_err(fail(known))?;
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
fn backup(connection: &Connection, copy: &Path) -> rusqlite::Result<()> {
    if copy.exists() {
        return Ok(());
    }
    let unusable = |error: &dyn std::error::Error| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        rusqlite::Error::SqliteFailure(code, Some(Chain(error).to_string()))
    };
    // Written under another name first: a crash leaves no half copy under the real one. SQLite
    // writes into an empty file that exists, which keeps its mode.
    let half = copy.with_added_extension("new");
    match std::fs::remove_file(&half) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(&error)),
        _ => {}
    }
    file::make_private(&half).map_err(|error| unusable(&error))?;
    connection.execute("VACUUM INTO ?1", [half.display().to_string()])?;
    std::fs::rename(&half, copy).map_err(|error| unusable(&error))?;
    tracing::info!(copy = %copy.display(), "kept a copy of the database before changing its tables");
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
