//! The heartbeat: one truthful answer about the whole machine.
//!
//! ```text
//!   facts (apps, config, mounts, store) ─► judge ─► conditions, phase ─┐
//!                                                                      ├─► Status ─► watch
//!   store.last_seq() ──────────────────────────────────────────────────┘
//! ```
//!
//! Invariants:
//! - `status` changes only with its `seq`; samples and lease never touch it, so that its weak
//!   `ETag` is a promise.
//! - A condition keeps its `since` over restarts of stationd.
//! - It reads published facts only and waits for nobody: a hung part delays no answer.

mod compose;
mod judge;
mod ledger;
mod store;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use station_proto::app::App;
use station_proto::gpu::GpuSummary;
use station_proto::heartbeat::Status;
use station_proto::mount::Mount;
use tokio::sync::watch;

use crate::base::tasks::Tasks;
use crate::store::Store;

pub use compose::{etag, lease};
pub use judge::Finding;
pub use ledger::{Ledger, NoDelta};
pub use store::FEATURE;

/// What the verdict is made of. Wiring keeps it up to date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub name: String,
    pub public_url: String,
    pub apps: Vec<App>,
    pub mounts: Vec<Mount>,
    pub gpus: Vec<GpuSummary>,
    /// What other parts have found out and judged themselves, by part.
    pub found: BTreeMap<&'static str, Vec<Finding>>,
    /// Mistakes that keep stationd from using its configuration at all.
    pub config_invalid: Option<String>,
    /// Mistakes in a changed configuration; the old one is in force.
    pub config_rejected: Option<String>,
    /// Changed keys that wait for a restart.
    pub restart_required: Vec<String>,
    pub runs_as_root: bool,
    pub cloned_image: bool,
    pub state_not_writable: Option<String>,
    pub workspace: Workspace,
    /// Why the privileged side does not answer, while it does not.
    pub privileged_silent: Option<String>,
    /// Why the user's sudo rights are not as configured.
    pub root_access_refused: Option<String>,
    /// What the public listener that was passed on is, and what it should be.
    pub listen_mismatch: Option<Mismatch>,
    /// The same of the control plane's listener.
    pub control_mismatch: Option<Mismatch>,
    /// Why a changed certificate or authority is not used; the former is in force.
    pub certificate_rejected: Option<String>,
    pub stopping: bool,
}

/// The public listener is not what the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// One word, such as `AddressDiffers`.
    pub reason: &'static str,
    pub message: String,
    pub action: String,
    /// Nobody can reach the page and the apps.
    pub unreachable: bool,
}

/// The folder that apps work in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Workspace {
    #[default]
    Usable,
    /// It has not been looked at yet.
    Unknown,
    /// It cannot be looked at: the probe does not answer.
    NotLooked,
    /// It is away, and a condition of the share says why.
    Away,
    /// It was there and is not any more, or does not answer: why.
    Missing(String),
}

/// The latest status, alone and with what of it changed when.
#[derive(Debug, Clone)]
pub struct Published {
    pub status: watch::Receiver<Arc<Status>>,
    pub ledger: watch::Receiver<Arc<Ledger>>,
}

/// Starts to judge `facts`.
pub async fn spawn(tasks: &Tasks, store: &Store, facts: watch::Receiver<Facts>) -> Published {
    let judged = task::Judged::load(store, &facts.borrow().clone()).await;
    let (publish, status) = watch::channel(judged.status());
    let (publish_ledger, ledger) = watch::channel(Arc::new(Ledger::new(judged.status())));
    let cancel = tasks.token();
    tasks.part("heartbeat-store", store::keep(store.clone(), status.clone(), cancel.clone()));
    let pulse = tasks.pulse("heartbeat");
    tasks.part(
        "heartbeat",
        task::run(judged, facts, (publish, publish_ledger), (pulse, cancel.clone())),
    );
    Published { status, ledger }
}
