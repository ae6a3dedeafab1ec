//! The machine's figures of the moment: CPU, load, memory, pressure, the operating system's disk.
//!
//! One task samples every few seconds and publishes the values in a `watch`; an absent first
//! value means that nothing is known yet. It never touches a mount: `statvfs` on a dead share
//! would hang, so only the file system of stationd's own state is asked.

mod pressure;
mod sampler;
mod task;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use station_proto::node::Samples;
use tokio::sync::watch;

use crate::base::tasks::Tasks;

/// What to measure, and how often.
#[derive(Debug, Clone)]
pub struct Config {
    pub every: Duration,
    /// A folder on the operating system's disk.
    pub disk: PathBuf,
}

/// The latest values.
pub type Host = watch::Receiver<Option<Arc<Samples>>>;

/// Starts to sample.
pub fn spawn(tasks: &Tasks, config: Config) -> Host {
    let (publish, host) = watch::channel(None);
    tasks.part("host", task::run(config, publish, tasks.token().clone()));
    host
}
