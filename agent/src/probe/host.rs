//! What the machine is and how it does, as far as a look at it may hang or needs eyes that stationd
//! does not have: disks, mounts, the clock, the network of PID 1, failed units, what is installed.
//!
//! ```text
//!   Probe::host ──Ask──► stationd probe host ─┬─ a thread for each disk ──┐
//!                                             ├─ files, clock, D-Bus ─────┼─► lines of Said
//!                                             └─ node, CUDA (if asked) ───┘
//! ```
//!
//! One process, asked again and again. A disk that hangs holds its process: another one takes its place,
//! and that disk is not asked again until the first has ended; the others are. What did not come in time
//! is absent.

mod child;
mod cuda;
mod files;
mod looker;
mod mounts;
mod network;
mod node;
mod reboot;
pub mod walk;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use station_proto::node::{Cuda, Node};

pub use self::child::run;
pub(super) use self::looker::HostLooker;
pub use self::mounts::Mounted;
pub use self::network::{Default, Network};
pub use self::reboot::Reboot;
pub use crate::os::machine::clock::Kept;
pub use crate::os::machine::disk::Space;

/// How long a look may take; a disk that has not answered by then is silent.
pub const LIMIT: Duration = Duration::from_secs(5);

/// What is asked. The cheap files are looked at each time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    pub disks: Vec<PathBuf>,
    /// Where stationd's tools are, whose virtual environments may hold CUDA.
    pub tools: Option<PathBuf>,
    pub more: More,
}

/// What is asked now and then only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct More {
    pub units: bool,
    /// With what systemd says of the clock, where the kernel may not be asked.
    pub node: bool,
    pub cuda: bool,
}

/// A line of the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Disk { path: PathBuf, disk: Disk },
    Files(Box<Files>),
    Units(Units),
    Clock(Option<Kept>),
    Node(Box<Node>),
    Cuda(Cuda),
}

/// What came of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disk {
    Space(Space),
    /// It cannot be asked: why.
    Failed(String),
    /// It gave no answer in time.
    Silent,
}

/// The failed units of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// There is no systemd, or no D-Bus.
    None,
    Failed(Vec<String>),
    /// systemd does not answer: why.
    Unknown(String),
}

/// What cheap files and calls say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Absent where the clock may not be asked.
    pub clock: Option<Kept>,
    /// The mounts that hold the disks that were asked for, in their order; absent if not known.
    pub mounts: Vec<Option<Mounted>>,
    /// Absent if PID 1's network cannot be seen.
    pub network: Option<Network>,
    /// Why the machine should be restarted.
    pub reboot: Option<Reboot>,
    /// Changes when the node's facts should be read again.
    pub node_stamp: u64,
    /// The same of CUDA's.
    pub cuda_stamp: u64,
}

/// Everything that came of one look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    pub disks: Vec<(PathBuf, Disk)>,
    /// Absent if they gave no answer in time.
    pub files: Option<Box<Files>>,
    pub units: Option<Units>,
    pub clock: Option<Kept>,
    pub node: Option<Box<Node>>,
    pub cuda: Option<Cuda>,
}
