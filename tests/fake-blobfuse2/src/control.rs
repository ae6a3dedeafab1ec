//! What it is told to do wrong: `control.json`, read at each operation.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Orders {
    /// Uploads fail with EIO.
    refuse_uploads: bool,
    /// The operation with this number, and every later one, does not return.
    hang_at: Option<u64>,
    /// Each operation takes so long.
    slow_ms: u64,
}

#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    operations: AtomicU64,
}

impl Control {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join("control.json"), operations: AtomicU64::new(0) }
    }

    fn orders(&self) -> Orders {
        let text = fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// At the begin of each operation.
    pub(crate) fn operation(&self) {
        let number = self.operations.fetch_add(1, Ordering::Relaxed) + 1;
        let orders = self.orders();
        pause(orders.slow_ms);
        while self.orders().hang_at.is_some_and(|at| number >= at) {
            pause(100);
        }
    }

    pub(crate) fn refuses_uploads(&self) -> bool {
        self.orders().refuse_uploads
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver that is slow, on a thread of its own")]
fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
