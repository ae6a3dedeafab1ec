//! NVIDIA GPUs and their driver: what they are, how they do, and what is wrong.
//!
//! ```text
//!   files (/sys, /proc) ──┐                       who is stuck: asleep ─► stuck
//!   probe gpu (lines) ────┼─► state: step ─► Start | Stop the child
//!   kernel log (Xids) ────┘      └─► view: Gpus (every value of now) and findings (judge)
//! ```
//!
//! Invariants:
//! - The daemon never calls the driver: a process that can be lost does (`probe::gpu`).
//! - What could not be read is absent and never an old value; a GPU that cannot be asked is `unknown`.
//! - One GPU that is sick hides no other: a call on it that does not return ends the child, and the
//!   next one leaves that GPU alone for a while.
//! - A machine without a GPU costs a look at a folder now and then, and no process.
//!
//! Limits: 64 GPUs, 32 kinds of Xid a GPU.

mod asleep;
mod files;
mod judge;
mod state;
mod stuck;
mod task;
mod view;
pub mod xid;

use std::sync::Arc;
use std::time::Duration;

use station_proto::condition::Truth;
use station_proto::gpu::{GpuCall, Gpus};
use tokio::sync::{mpsc, oneshot, watch};

use crate::base::conditions::Kind;
use crate::base::tasks::Tasks;
use crate::os::machine::kmsg::Record;
use crate::probe::Probe;

/// Between two rounds.
pub const EVERY: Duration = Duration::from_secs(10);

/// Something that is wrong with a GPU or the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// A GPU's UUID, or its place on the bus; empty for the driver.
    pub subject: String,
    pub truth: Truth,
    pub reason: &'static str,
    pub message: String,
    pub action: String,
}

/// What is known now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub gpus: Gpus,
    pub findings: Vec<Finding>,
}

/// The latest of it.
pub type Published = watch::Receiver<Arc<Seen>>;

/// How long each call of the driver took; empty if the driver cannot be asked.
pub(crate) type Latencies = oneshot::Sender<Vec<GpuCall>>;

/// What is published, and the way to ask for more.
#[derive(Debug, Clone)]
pub struct Handle {
    pub seen: Published,
    asks: mpsc::Sender<Latencies>,
}

/// How long an answer of the child may take.
const ANSWER: Duration = Duration::from_secs(2);

impl Handle {
    /// How long the driver's calls took since the child was started.
    pub async fn latencies(&self) -> Vec<GpuCall> {
        let (tell, told) = oneshot::channel();
        if self.asks.try_send(tell).is_err() {
            return Vec::new();
        }
        tokio::time::timeout(ANSWER, told).await.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// What is known of the GPUs beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Config {
    /// How many there should be; `None`: as many as there are.
    pub expected: Option<u32>,
}

/// Starts to look. `kernel` brings lines of the kernel's log.
pub fn spawn(
    tasks: &Tasks,
    config: Config,
    probe: Probe,
    kernel: mpsc::Receiver<Record>,
) -> Handle {
    let (publish, seen) = watch::channel(Arc::default());
    let (asks, asked) = mpsc::channel(1);
    let (cancel, pulse) = (tasks.token().clone(), tasks.pulse("gpu"));
    tasks.part(
        "gpu",
        task::run(task::Task::new(config, probe, publish), (kernel, asked), pulse, cancel),
    );
    Handle { seen, asks }
}
