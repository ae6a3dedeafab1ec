//! The machine: measured values of the moment, and what it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gpu::GpuSample;
use crate::mount::MountSample;
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
    /// Every local file system that matters here, each once: the operating system's, and where they are
    /// others those of stationd's state, of temporary files and of the workspace. Looked at every ten
    /// seconds; one that gives no answer is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// How stationd itself does; absent in the first seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Taken every ten seconds; absent for a GPU that does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSample>,
    /// Shares, as their wardens said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountSample>,
}

impl Samples {
    /// Of a moment when nothing had been measured.
    pub fn nothing(at: Time) -> Self {
        Self {
            at,
            cpu: None,
            load: None,
            memory: None,
            pressure: None,
            os_disk: None,
            disks: Vec::new(),
            agent: None,
            gpus: Vec::new(),
            mounts: Vec::new(),
        }
    }
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

/// How late stationd's own timers fired over the last minute, in ms: the kernel gives it no time, or
/// something in it keeps the event loop busy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    pub late_p99_ms: u64,
    pub late_max_ms: u64,
}

/// The space of a file system; see `statvfs(3)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    pub path: String,
    pub total_mib: u64,
    /// What an ordinary user may still write.
    pub available_mib: u64,
    pub inodes_total: u64,
    pub inodes_free: u64,
}

/// What the machine is: the answer of `GET /v1/node`. What is not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    /// The running kernel's release, as `uname -r` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// As `uname -m` prints it: `x86_64`, `aarch64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted_at: Option<Time>,
    /// New with every boot; see `random(4)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Logical cores of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Absent without cloud-init.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Cloud>,
    /// Absent before it was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda: Option<Cuda>,
}

/// The operating system, from `os-release(5)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Os {
    /// `PRETTY_NAME`, for people.
    pub name: String,
    /// `ID`: `debian`, `ubuntu`, `rhel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `VERSION_ID`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What the firmware says (DMI), and whether the CPU knows of a hypervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hardware {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// The CPU's flag `hypervisor`; absent where CPUs have no such flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<bool>,
}

/// What cloud-init was told by the cloud
/// (<https://docs.cloud-init.io/en/latest/explanation/instancedata.html>).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cloud {
    /// `azure`, `aws`, `gce`, `nocloud`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// `Standard_NC24ads_A100_v4`, `p4d.24xlarge`, `a2-highgpu-1g`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_addresses: Vec<String>,
}

/// What is installed of CUDA, found by its files: nothing is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cuda {
    /// The newest CUDA version that the driver serves; absent without a driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_cuda_version: Option<String>,
    pub toolkits: Vec<CudaToolkit>,
    pub cudnn: Vec<CudaLibrary>,
    pub nccl: Vec<CudaLibrary>,
}

/// A CUDA toolkit, or the runtime library of one.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
pub struct CudaToolkit {
    /// Such as `12.4.1`.
    pub version: String,
    /// The folder of the toolkit, or the file of the library.
    pub path: String,
    /// `toolkit`, `library` (of the system), `conda` or `wheel` (a Python package).
    pub source: String,
    /// `/usr/local/cuda` leads to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// It brings NVIDIA's libraries for drivers of an older major version (`cuda-compat`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_compatible: bool,
}

/// A library for CUDA.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
pub struct CudaLibrary {
    pub version: String,
    pub path: String,
    pub source: String,
}
