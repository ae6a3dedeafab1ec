//! The machine: measured values of the moment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gpu::GpuSample;
use crate::time::Time;

/// Measured values. They change all the time and never touch `status` or its `ETag`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Samples {
    /// When they were taken.
    pub at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Run-queue averages over 1, 5 and 15 minutes; see `proc_loadavg(5)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<[f64; 3]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Absent where the kernel has no pressure stall information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Pressure>,
    /// The file system of stationd's own state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_disk: Option<Disk>,
    /// Taken every ten seconds; absent for a GPU that does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSample>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cpu {
    /// Logical cores that stationd may use.
    pub cores: u32,
    /// Busy share of all cores since the last sample, 0 to 100.
    pub used_percent: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    pub total_mib: u64,
    /// `MemAvailable` of `proc_meminfo(5)`.
    pub available_mib: u64,
    pub swap_total_mib: u64,
    pub swap_free_mib: u64,
}

/// Share of time in which some or all tasks waited, over 10 seconds, 0 to 100; see
/// <https://docs.kernel.org/accounting/psi.html>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pressure {
    pub cpu_some_percent: f64,
    pub memory_some_percent: f64,
    pub memory_full_percent: f64,
    pub io_some_percent: f64,
    pub io_full_percent: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    pub path: String,
    pub total_mib: u64,
    /// What an ordinary user may still write.
    pub available_mib: u64,
    pub inodes_total: u64,
    pub inodes_free: u64,
}
