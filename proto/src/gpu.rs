//! NVIDIA GPUs, their driver, and who uses them. Names and units follow NVML, NVIDIA's management
//! library (<https://docs.nvidia.com/deploy/nvml-api/>).
//!
//! What a GPU does not have, or could not be read just now, is absent: a value is never an old one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// The answer of `GET /v1/gpus`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gpus {
    pub driver: GpuDriver,
    /// Absent before the driver has been asked for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// In the order of their places on the PCI bus.
    pub gpus: Vec<Gpu>,
}

/// What there is of NVIDIA's driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuDriver {
    pub state: DriverState,
    /// The loaded kernel module's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_version: Option<String>,
    /// The management library's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library_version: Option<String>,
    /// The newest CUDA version that the driver serves, such as `13.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda_version: Option<String>,
    /// GPUs on the PCI bus.
    pub on_pci: u32,
    /// GPUs that the driver lists; absent if it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<u32>,
    /// Process ids that wait in the kernel for the driver without an end (state `D`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck_pids: Vec<i32>,
}

/// Whether the driver can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriverState {
    /// No NVIDIA GPU and no driver: a machine without GPUs.
    Absent,
    /// There is a GPU, and its driver is not loaded.
    NotLoaded,
    /// It is loaded, and NVIDIA's management library is missing.
    NoLibrary,
    /// Library and loaded module are of different versions.
    Mismatch,
    /// It cannot be initialised.
    Failed,
    /// It does not answer.
    Unresponsive,
    Ready,
    /// Not known yet, or the part that asks it does not answer.
    #[default]
    Unknown,
}

/// The verdict on a GPU.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum GpuHealth {
    Healthy,
    /// It works, and something about it needs attention.
    Degraded,
    /// It cannot be used.
    Failed,
    /// It could not be asked.
    #[default]
    Unknown,
}

/// A GPU as the status shows it: what rarely changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuSummary {
    /// Its number in NVML and in `nvidia-smi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Its name for ever; absent if it was never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Domain, bus, device and function: `0000:00:06.0`.
    pub pci: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    pub health: GpuHealth,
}

/// A GPU as the samples show it: what changes all the time. The rest is in `GET /v1/gpus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuSample {
    pub pci: String,
    /// Share of the last moment in which a kernel ran, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_mw: Option<u32>,
    /// Processes that hold its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

/// Everything about one GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gpu {
    #[serde(flatten)]
    pub summary: GpuSummary,
    pub model: GpuModel,
    pub memory: GpuMemory,
    pub load: GpuLoad,
    pub heat: GpuHeat,
    pub clocks: GpuClocks,
    pub errors: GpuErrors,
    pub links: GpuLinks,
    pub modes: GpuModes,
    /// Absent if the list cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<GpuProcess>>,
    /// Parts of a GPU that is divided (MIG).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mig: Vec<MigDevice>,
    /// Error messages of the driver on this GPU since the machine started, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xids: Vec<XidSeen>,
    /// Calls of the driver that failed in the last round, with NVML's return code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_calls: Vec<FailedCall>,
}

/// What it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuModel {
    /// Such as `Hopper`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// CUDA compute capability, such as `9.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vbios: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gsp_firmware: Option<String>,
    /// N of `/dev/nvidiaN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// `none`, `passthrough`, `vgpu`, `host_vgpu` or `host_vsga`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtualization: Option<String>,
}

/// Its memory, in MiB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuMemory {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_mib: Option<u64>,
    /// Held by the driver itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar1_total_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar1_used_mib: Option<u64>,
}

/// How busy it is, in percent of the last moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GpuLoad {
    /// Share in which at least one kernel ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_percent: Option<u32>,
    /// Share in which its memory was read or written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_percent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_percent: Option<u32>,
    /// Multiprocessors at work, over the time since the last slow round (GPM; Hopper and newer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm_percent: Option<f64>,
    /// Tensor cores at work (GPM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor_percent: Option<f64>,
    /// Bandwidth of the memory in use (GPM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dram_percent: Option<f64>,
}

/// Temperature in degrees Celsius, and power in milliwatts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuHeat {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_c: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_c: Option<i32>,
    /// Degrees left before it slows down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_c: Option<i32>,
    /// Where it slows down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowdown_c: Option<i32>,
    /// Where it switches itself off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_c: Option<i32>,
    /// The first fan's speed in percent of its most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fan_percent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_mw: Option<u32>,
    /// The limit in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_limit_mw: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_default_mw: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_max_mw: Option<u32>,
    /// Since the driver was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_mj: Option<u64>,
}

/// Clocks in MHz, and why they are lower than they could be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuClocks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm_mhz: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm_max_mhz: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mhz: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max_mhz: Option<u32>,
    /// 0 is the fastest, 15 the slowest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_state: Option<u32>,
    /// `nvmlClocksEventReasons` by name: `gpu_idle`, `sw_power_cap`, `hw_thermal_slowdown`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<String>>,
    /// Time spent slowed down since the driver was loaded, by cause, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowed_power_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowed_thermal_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowed_reliability_ms: Option<u64>,
}

/// Errors of its memory and of itself. "Volatile" counts since the driver was loaded, "aggregate"
/// for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuErrors {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc: Option<bool>,
    /// ECC is switched after the next restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc_pending: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatile_corrected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatile_uncorrected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate_corrected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate_uncorrected: Option<u64>,
    /// More errors of its internal memory than NVIDIA allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sram_threshold_exceeded: Option<bool>,
    /// Pages taken out of use (before Ampere).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_single_bit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_double_bit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retirement_pending: Option<bool>,
    /// Rows of memory replaced by spare ones (Ampere and newer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_corrected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_uncorrected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_pending: Option<bool>,
    /// A row could not be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_failed: Option<bool>,
    /// Memory banks that have no spare rows left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banks_without_spares: Option<u32>,
    /// What the driver asks for: `none`, `gpu_reset`, `node_reboot`, `drain_p2p`,
    /// `drain_and_reset`, `imex`, `bus_reset` or `system_reboot` (driver 565 and newer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_action: Option<String>,
}

/// Its connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuLinks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_generation: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_generation_max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_width_max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_replays: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_correctable: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_fatal: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_non_fatal: Option<u64>,
    /// Links to other GPUs, where it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nvlinks: Vec<NvLink>,
    /// `not_started`, `in_progress` or `completed`, where GPUs form a fabric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fabric: Option<String>,
    /// NVML's return code of joining the fabric; 0 is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fabric_status: Option<u32>,
}

/// One link to another GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NvLink {
    pub link: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replays: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recoveries: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc_errors: Option<u64>,
}

/// How it is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuModes {
    /// Whether the driver keeps it initialised while nobody uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<bool>,
    /// `default`, `exclusive_thread`, `prohibited` or `exclusive_process`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mig: Option<bool>,
    /// What MIG will be after the next reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mig_pending: Option<bool>,
}

/// A part of a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigDevice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_instance: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_instance: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_mib: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_mib: Option<u64>,
}

/// A process that holds memory of a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuProcess {
    pub pid: i32,
    /// `compute`, `graphics` or `mps`.
    pub kind: String,
    /// Absent where the driver does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// The program's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The app that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The unit of systemd, or the container, that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The notebook whose kernel it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notebook: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_instance: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_instance: Option<u32>,
}

/// An error message of the driver: <https://docs.nvidia.com/deploy/xid-errors/>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct XidSeen {
    pub code: u32,
    /// How often since the machine started.
    pub count: u64,
    pub first: Time,
    pub last: Time,
    /// NVIDIA's symbolic name, if its catalogue has the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it means, in one sentence.
    pub meaning: String,
    /// What to do; empty if there is nothing to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// The category under which Azure takes a report of it (Guest Health Reporting).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_as: Option<String>,
    /// The process that caused the last one, if the driver names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The rest of the driver's last message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A call of NVML that failed, though the GPU has what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedCall {
    /// The function's name.
    pub call: String,
    /// `nvmlReturn_t`.
    pub code: u32,
}

/// How long one call of the driver took since it was first asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuCall {
    /// The function's name.
    pub call: String,
    pub count: u64,
    /// Upper bounds, exact to a factor of two.
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}
