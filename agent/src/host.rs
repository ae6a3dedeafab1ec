//! The machine: its figures of the moment, what it is, and what is wrong with it.
//!
//! ```text
//!   /proc, every 5 s (sampler) ──────┐
//!   probe host, every 10 s (look) ───┤             ┌─► Samples
//!   kernel log (kernel) ─────────────┼─► state ────┼─► findings (judge)
//!   own timers (pace) ───────────────┤   step      └─► Node
//!   the driver's CUDA version ───────┘     └─► Look | Walk
//! ```
//!
//! Invariants:
//! - Nothing here touches a disk: `statvfs` on a dead one never returns, so the probe asks it.
//! - What could not be read is absent and never an old value; what is not known is no alarm.
//! - A condition that hangs on a figure clears only well past the mark that set it, and its message
//!   does not follow the figure: status changes when the state does.
//!
//! Limits: one look and one walk at a time, a walk of a disk at most every ten minutes.

mod judge;
mod kernel;
mod pace;
mod pressure;
mod sampler;
mod state;
mod task;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use station_proto::condition::Truth;
use station_proto::node::{Node, Samples};
use tokio::sync::{mpsc, watch};

use crate::base::conditions::Kind;
use crate::base::tasks::Tasks;
use crate::probe::{Heard, Probe};

/// What to measure, and how often.
#[derive(Debug, Clone)]
pub struct Config {
    pub pace: Pace,
    /// Paths whose disks matter. The first is that of the operating system.
    pub disks: Vec<PathBuf>,
    /// The one of them that holds stationd's state.
    pub state: PathBuf,
    /// Where stationd's tools are.
    pub tools: PathBuf,
}

/// How often things are done.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two samples of the cheap figures.
    pub sample: Duration,
    /// Between two looks.
    pub look: Duration,
    /// Between two questions to systemd.
    pub units: Duration,
    /// How long the timers run whose lateness is measured; `None`: it is not.
    pub timer: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Pace {
    pub const USUAL: Self = Self {
        sample: Duration::from_secs(5),
        look: Duration::from_secs(10),
        units: Duration::from_secs(30),
        // Twice a second it wakes a core for some microseconds.
        timer: Some(Duration::from_millis(500)),
    };
}

/// What comes from elsewhere.
#[derive(Debug)]
pub struct Inputs {
    pub probe: Probe,
    /// What the kernel's log says of memory and disks.
    pub kernel: mpsc::Receiver<Heard>,
    /// The CUDA version that the driver serves.
    pub driver_cuda: watch::Receiver<Option<String>>,
}

/// Something that is wrong with the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// A path or a device; empty for the machine as a whole.
    pub subject: String,
    pub truth: Truth,
    pub reason: &'static str,
    pub message: String,
    pub action: String,
}

/// The latest of everything; an absent value is not known yet.
#[derive(Debug, Clone)]
pub struct Host {
    pub samples: watch::Receiver<Option<Arc<Samples>>>,
    pub findings: watch::Receiver<Arc<Vec<Finding>>>,
    pub node: watch::Receiver<Option<Arc<Node>>>,
}

/// Starts to look.
pub fn spawn(tasks: &Tasks, config: Config, inputs: Inputs) -> Host {
    let (samples, samples_rx) = watch::channel(None);
    let (findings, findings_rx) = watch::channel(Arc::default());
    let (node, node_rx) = watch::channel(None);
    let (pace, pace_rx) = watch::channel(None);
    if let Some(timer) = config.pace.timer {
        tasks.part("host-pace", pace::run(timer, pace, tasks.token().clone()));
    }
    let published = task::Published { samples, findings, node };
    let task = task::Task::new(tasks, config, inputs.probe, published);
    let heard =
        task::Sources { kernel: inputs.kernel, driver_cuda: inputs.driver_cuda, pace: pace_rx };
    tasks.part("host", task::run(task, heard, tasks.token().clone()));
    Host { samples: samples_rx, findings: findings_rx, node: node_rx }
}
