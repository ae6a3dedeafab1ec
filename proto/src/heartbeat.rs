//! The heartbeat: what a control plane polls.

mod delta;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::condition::Condition;
use crate::gpu::GpuSummary;
use crate::mount::Mount;
use crate::node::Samples;
use crate::time::Time;

pub use delta::{Change, Delta, HeartbeatDelta, Keyed, Placed, WrongBase};

/// `GET /v1/heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    pub lease: Lease,
    pub status: Status,
    /// Absent where `samples=false` was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
}

/// Proof of life: changes with every answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    pub instance_id: String,
    /// The kernel's boot id: differs after a reboot.
    pub boot_id: String,
    pub at: Time,
    /// Time since stationd started.
    pub uptime_ms: u64,
    /// Equal to `status.seq`: a poller that holds this one need not read further.
    pub seq: u64,
    pub phase: Phase,
    pub ready: bool,
}

/// What stationd as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Starting,
    Ready,
    Degraded,
    ConfigError,
    StartScriptFailed,
    Stopping,
}

/// What is true of the machine. Its weak `ETag` is `W/"BOOT-SEQ"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The sequence number of the last event that changed the status.
    pub seq: u64,
    pub phase: Phase,
    /// Whether the assigned user can work: every wanted app answers.
    pub ready: bool,
    /// Since when `phase` has been what it is.
    pub since: Time,
    pub version: String,
    /// The configured name of the instance, or the host name.
    pub name: String,
    /// Where users reach it.
    pub public_url: String,
    pub conditions: Vec<Condition>,
    pub apps: Vec<App>,
    pub mounts: Vec<Mount>,
    /// The machine's NVIDIA GPUs, in the order of their places on the PCI bus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSummary>,
}
