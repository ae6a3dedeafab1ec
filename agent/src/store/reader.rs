//! The reader thread: a read-only connection, so that a slow query never delays a write.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc;

use super::StoreError;

pub(super) type Job = Box<dyn FnOnce(&Connection) + Send>;

pub(super) fn start(path: &Path, mut jobs: mpsc::Receiver<Job>) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fail = |source| StoreError::Open { path: path.to_owned(), source };
    let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fail)?;
    connection.pragma_update(None, "cache_size", -512).map_err(fail)?;
    let run = move || {
        while let Some(job) = jobs.blocking_recv() {
            job(&connection);
        }
    };
    std::thread::Builder::new()
        .name("store-reader".to_owned())
        .stack_size(512 * 1024)
        .spawn(run)
        .map(drop)
        .map_err(StoreError::Thread)
}
