//! The trace of a life before that was aborted: told once as an event, then moved aside.

use std::path::Path;

use serde_json::json;

use super::trace;
use crate::base::chain::Chain;
use crate::base::limits;
use crate::os::file::{self, FileError};
use crate::store::{NewEvent, Store, StoreError};

#[derive(Debug, thiserror::Error)]
enum AbortedError {
    #[error("cannot read the trace")]
    Read(#[source] FileError),
    #[error("cannot record it")]
    Record(#[source] StoreError),
    #[error("cannot move it aside")]
    Move(#[source] std::io::Error),
}

/// Looks for the trace at `path`; the file is left at `path` with `.told` added.
pub async fn tell(store: Store, path: std::path::PathBuf) {
    match told(&store, &path).await {
        Ok(()) => {}
        Err(error) => tracing::warn!(error = %Chain(&error), "the trace of an abort stays"),
    }
}

async fn told(store: &Store, path: &Path) -> Result<(), AbortedError> {
    if !path.exists() {
        return Ok(());
    }
    let bytes = file::read_limited(path, limits::TRACE_BYTES).map_err(AbortedError::Read)?;
    let beginning = trace::beginning(&String::from_utf8_lossy(&bytes));
    let aside = path.with_added_extension("told");
    tracing::error!(trace = beginning, file = %aside.display(), "the last stationd was aborted");
    let event = NewEvent::new("daemon.aborted", "", beginning)
        .with(json!({ "file": aside.display().to_string() }));
    store.write(|tx| tx.event(event).map(drop)).await.map_err(AbortedError::Record)?;
    std::fs::rename(path, aside).map_err(AbortedError::Move)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trace_is_told_once_and_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), &[]).unwrap();
        let path = folder.path().join("abort.trace");
        file::write_atomic(&path, b"why\nand where\n", 0o600).unwrap();
        for _ in 0..2 {
            tell(store.clone(), path.clone()).await;
        }
        let events = store.events_after(0, 10).await.unwrap().events;
        let told: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(told, ["why\nand where"]);
        assert!(!path.exists() && folder.path().join("abort.trace.told").exists());
    }
}
