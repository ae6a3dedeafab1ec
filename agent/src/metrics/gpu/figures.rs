//! What is read of each GPU: one line a family.

use station_proto::gpu::Gpu;

use super::super::family::{Figure, counter, gauge};
use super::super::host::{mebibytes, whole};

const MHZ: f64 = 1_000_000.0;
/// Milliwatts in a watt, millijoules in a joule, milliseconds in a second.
const MILLI: f64 = 1000.0;

fn percent(value: Option<u32>) -> Option<f64> {
    value.map(|percent| f64::from(percent) / 100.0)
}

fn bytes(mib: Option<u64>) -> Option<f64> {
    mib.map(mebibytes)
}

fn watts(milliwatts: Option<u32>) -> Option<f64> {
    milliwatts.map(|value| f64::from(value) / MILLI)
}

fn hertz(mhz: Option<u32>) -> Option<f64> {
    mhz.map(|mhz| f64::from(mhz) * MHZ)
}

fn milli(value: Option<u64>) -> Option<f64> {
    value.map(|value| whole(value) / MILLI)
}

fn truth(value: Option<bool>) -> Option<f64> {
    value.map(f64::from)
}

fn count(value: Option<u64>) -> Option<f64> {
    value.map(whole)
}

const RATIO: Option<&str> = Some("ratio");
const BYTES: Option<&str> = Some("bytes");
const WATTS: Option<&str> = Some("watts");
const HERTZ: Option<&str> = Some("hertz");
const CELSIUS: Option<&str> = Some("celsius");
const SECONDS: Option<&str> = Some("seconds");

/// In the order of `GET /v1/gpus`.
pub(super) const GPU: &[Figure<Gpu>] = &[
    gauge("gpu_memory_size", BYTES, "Memory of the GPU", |gpu| bytes(gpu.memory.total_mib)),
    gauge("gpu_memory_used", BYTES, "Memory in use", |gpu| bytes(gpu.memory.used_mib)),
    gauge("gpu_memory_free", BYTES, "Memory that is free", |gpu| bytes(gpu.memory.free_mib)),
    gauge("gpu_memory_reserved", BYTES, "Memory held by the driver itself", |gpu| {
        bytes(gpu.memory.reserved_mib)
    }),
    gauge("gpu_bar1_size", BYTES, "Size of the BAR1 window", |gpu| {
        bytes(gpu.memory.bar1_total_mib)
    }),
    gauge("gpu_bar1_used", BYTES, "Use of the BAR1 window", |gpu| bytes(gpu.memory.bar1_used_mib)),
    gauge("gpu_used", RATIO, "Share of time in which a kernel ran", |gpu| {
        percent(gpu.load.gpu_percent)
    }),
    gauge("gpu_memory_busy", RATIO, "Share of time in which memory was read or written", |gpu| {
        percent(gpu.load.memory_percent)
    }),
    gauge("gpu_encoder_used", RATIO, "Use of the video encoder", |gpu| {
        percent(gpu.load.encoder_percent)
    }),
    gauge("gpu_decoder_used", RATIO, "Use of the video decoder", |gpu| {
        percent(gpu.load.decoder_percent)
    }),
    gauge("gpu_sm_active", RATIO, "Multiprocessors at work", |gpu| {
        gpu.load.sm_percent.map(|share| share / 100.0)
    }),
    gauge("gpu_tensor_active", RATIO, "Tensor cores at work", |gpu| {
        gpu.load.tensor_percent.map(|share| share / 100.0)
    }),
    gauge("gpu_dram_active", RATIO, "Bandwidth of the memory in use", |gpu| {
        gpu.load.dram_percent.map(|share| share / 100.0)
    }),
    gauge("gpu_temperature", CELSIUS, "Temperature of the GPU", |gpu| {
        gpu.heat.gpu_c.map(f64::from)
    }),
    gauge("gpu_memory_temperature", CELSIUS, "Temperature of its memory", |gpu| {
        gpu.heat.memory_c.map(f64::from)
    }),
    gauge("gpu_temperature_margin", CELSIUS, "Degrees left before it slows down", |gpu| {
        gpu.heat.margin_c.map(f64::from)
    }),
    gauge("gpu_temperature_slowdown", CELSIUS, "Where it slows down", |gpu| {
        gpu.heat.slowdown_c.map(f64::from)
    }),
    gauge("gpu_temperature_shutdown", CELSIUS, "Where it switches itself off", |gpu| {
        gpu.heat.shutdown_c.map(f64::from)
    }),
    gauge("gpu_fan_speed", RATIO, "Speed of the first fan", |gpu| percent(gpu.heat.fan_percent)),
    gauge("gpu_power", WATTS, "Power drawn", |gpu| watts(gpu.heat.power_mw)),
    gauge("gpu_power_limit", WATTS, "The power limit in force", |gpu| {
        watts(gpu.heat.power_limit_mw)
    }),
    counter("gpu_energy", Some("joules"), "Energy used since the driver was loaded", |gpu| {
        milli(gpu.heat.energy_mj)
    }),
    gauge("gpu_sm_clock", HERTZ, "Clock of the multiprocessors", |gpu| hertz(gpu.clocks.sm_mhz)),
    gauge("gpu_sm_clock_max", HERTZ, "The highest clock of the multiprocessors", |gpu| {
        hertz(gpu.clocks.sm_max_mhz)
    }),
    gauge("gpu_memory_clock", HERTZ, "Clock of the memory", |gpu| hertz(gpu.clocks.memory_mhz)),
    gauge("gpu_memory_clock_max", HERTZ, "The highest clock of the memory", |gpu| {
        hertz(gpu.clocks.memory_max_mhz)
    }),
    gauge("gpu_performance_state", None, "0 is the fastest, 15 the slowest", |gpu| {
        gpu.clocks.performance_state.map(f64::from)
    }),
    counter("gpu_slowed_power", SECONDS, "Time slowed down by power limits", |gpu| {
        milli(gpu.clocks.slowed_power_ms)
    }),
    counter("gpu_slowed_thermal", SECONDS, "Time slowed down by heat", |gpu| {
        milli(gpu.clocks.slowed_thermal_ms)
    }),
    counter("gpu_slowed_reliability", SECONDS, "Time slowed down for reliability", |gpu| {
        milli(gpu.clocks.slowed_reliability_ms)
    }),
    gauge("gpu_ecc_enabled", None, "Whether errors of memory are corrected", |gpu| {
        truth(gpu.errors.ecc)
    }),
    counter(
        "gpu_ecc_volatile_corrected",
        None,
        "Corrected errors since the driver's start",
        |gpu| count(gpu.errors.volatile_corrected),
    ),
    counter("gpu_ecc_volatile_uncorrected", None, "Uncorrected ones since then", |gpu| {
        count(gpu.errors.volatile_uncorrected)
    }),
    counter("gpu_ecc_aggregate_corrected", None, "Corrected errors in the GPU's life", |gpu| {
        count(gpu.errors.aggregate_corrected)
    }),
    counter("gpu_ecc_aggregate_uncorrected", None, "Uncorrected ones in its life", |gpu| {
        count(gpu.errors.aggregate_uncorrected)
    }),
    gauge("gpu_sram_threshold_exceeded", None, "More errors than NVIDIA allows", |gpu| {
        truth(gpu.errors.sram_threshold_exceeded)
    }),
    counter("gpu_retired_pages_single_bit", None, "Pages retired for corrected errors", |gpu| {
        count(gpu.errors.retired_single_bit)
    }),
    counter("gpu_retired_pages_double_bit", None, "Pages retired for an uncorrected one", |gpu| {
        count(gpu.errors.retired_double_bit)
    }),
    gauge("gpu_retirement_pending", None, "Whether pages wait to be retired", |gpu| {
        truth(gpu.errors.retirement_pending)
    }),
    counter("gpu_remapped_rows_corrected", None, "Rows replaced for corrected errors", |gpu| {
        count(gpu.errors.rows_corrected)
    }),
    counter("gpu_remapped_rows_uncorrected", None, "Rows replaced for uncorrected ones", |gpu| {
        count(gpu.errors.rows_uncorrected)
    }),
    gauge("gpu_remapping_pending", None, "Whether rows wait to be replaced", |gpu| {
        truth(gpu.errors.rows_pending)
    }),
    gauge("gpu_remapping_failed", None, "Whether a row could not be replaced", |gpu| {
        truth(gpu.errors.rows_failed)
    }),
    gauge("gpu_pcie_generation", None, "Generation of the PCIe link now", |gpu| {
        gpu.links.pcie_generation.map(f64::from)
    }),
    gauge("gpu_pcie_generation_max", None, "The newest that GPU and machine have", |gpu| {
        gpu.links.pcie_generation_max.map(f64::from)
    }),
    gauge("gpu_pcie_width", None, "Lanes of the PCIe link now", |gpu| {
        gpu.links.pcie_width.map(f64::from)
    }),
    gauge("gpu_pcie_width_max", None, "Lanes that GPU and machine have", |gpu| {
        gpu.links.pcie_width_max.map(f64::from)
    }),
    counter("gpu_pcie_replays", None, "Transfers over PCIe that were repeated", |gpu| {
        count(gpu.links.pcie_replays)
    }),
    counter("gpu_pcie_correctable_errors", None, "Correctable errors of PCIe", |gpu| {
        count(gpu.links.pcie_correctable)
    }),
    counter("gpu_pcie_non_fatal_errors", None, "Non-fatal errors of PCIe", |gpu| {
        count(gpu.links.pcie_non_fatal)
    }),
    counter("gpu_pcie_fatal_errors", None, "Fatal errors of PCIe", |gpu| {
        count(gpu.links.pcie_fatal)
    }),
    gauge("gpu_persistence_mode", None, "Whether the driver keeps it initialised", |gpu| {
        truth(gpu.modes.persistence)
    }),
    gauge("gpu_mig_mode", None, "Whether it is divided into parts", |gpu| truth(gpu.modes.mig)),
    gauge("gpu_processes", None, "Processes that hold its memory", |gpu| {
        gpu.processes.as_ref().and_then(|all| u64::try_from(all.len()).ok()).map(whole)
    }),
    gauge("gpu_failed_calls", None, "Calls of the driver that failed in the last round", |gpu| {
        u64::try_from(gpu.failed_calls.len()).ok().map(whole)
    }),
];
