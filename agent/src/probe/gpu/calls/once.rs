//! What a GPU is, and what it is made for: asked when it is opened.

use std::ffi::{c_int, c_uint};

use nvml_wrapper_sys::bindings::{
    NVML_DEVICE_ARCH_ADA, NVML_DEVICE_ARCH_AMPERE, NVML_DEVICE_ARCH_BLACKWELL,
    NVML_DEVICE_ARCH_HOPPER, NVML_DEVICE_ARCH_KEPLER, NVML_DEVICE_ARCH_MAXWELL,
    NVML_DEVICE_ARCH_PASCAL, NVML_DEVICE_ARCH_TURING, NVML_DEVICE_ARCH_VOLTA,
    nvmlClockType_enum_NVML_CLOCK_MEM as MEMORY, nvmlClockType_enum_NVML_CLOCK_SM as SM,
    nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SHUTDOWN as SHUTDOWN,
    nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SLOWDOWN as SLOWDOWN,
};

use super::super::Code;
use super::super::card::{Card, ask, ask_text, ask_two, gsp_firmware, keep};
use super::{Call, Pace};

const fn once(name: &'static str, run: Run) -> Call {
    Call { name, pace: Pace::Once, run }
}

type Run = fn(Card<'_>, &mut station_proto::gpu::Gpu) -> Result<(), Code>;

pub(super) const CALLS: &[Call] = &[
    once("nvmlDeviceGetUUID", |card, gpu| {
        keep(&mut gpu.summary.uuid, ask_text!(card, nvmlDeviceGetUUID))
    }),
    once("nvmlDeviceGetIndex", |card, gpu| {
        keep(&mut gpu.summary.index, ask!(card, nvmlDeviceGetIndex => c_uint))
    }),
    once("nvmlDeviceGetName", |card, gpu| {
        keep(&mut gpu.summary.name, ask_text!(card, nvmlDeviceGetName))
    }),
    once("nvmlDeviceGetArchitecture", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetArchitecture => c_uint);
        keep(&mut gpu.model.architecture, asked.map(|number| architecture(number).to_owned()))
    }),
    once("nvmlDeviceGetCudaComputeCapability", |card, gpu| {
        let asked = ask_two!(card, nvmlDeviceGetCudaComputeCapability => c_int);
        let text = asked.map(|(major, minor)| format!("{major}.{minor}"));
        keep(&mut gpu.model.compute_capability, text)
    }),
    once("nvmlDeviceGetSerial", |card, gpu| {
        keep(&mut gpu.model.serial, ask_text!(card, nvmlDeviceGetSerial))
    }),
    once("nvmlDeviceGetBoardPartNumber", |card, gpu| {
        keep(&mut gpu.model.part_number, ask_text!(card, nvmlDeviceGetBoardPartNumber))
    }),
    once("nvmlDeviceGetVbiosVersion", |card, gpu| {
        keep(&mut gpu.model.vbios, ask_text!(card, nvmlDeviceGetVbiosVersion))
    }),
    once("nvmlDeviceGetGspFirmwareVersion", |card, gpu| {
        keep(&mut gpu.model.gsp_firmware, gsp_firmware(card))
    }),
    once("nvmlDeviceGetMinorNumber", |card, gpu| {
        keep(&mut gpu.model.minor, ask!(card, nvmlDeviceGetMinorNumber => c_uint))
    }),
    once("nvmlDeviceGetNumGpuCores", |card, gpu| {
        keep(&mut gpu.model.cores, ask!(card, nvmlDeviceGetNumGpuCores => c_uint))
    }),
    once("nvmlDeviceGetVirtualizationMode", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetVirtualizationMode => c_uint);
        keep(&mut gpu.model.virtualization, asked.map(|mode| virtualization(mode).to_owned()))
    }),
    once("nvmlDeviceGetPowerManagementDefaultLimit", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetPowerManagementDefaultLimit => c_uint);
        keep(&mut gpu.heat.power_default_mw, asked)
    }),
    once("nvmlDeviceGetPowerManagementLimitConstraints", |card, gpu| {
        let asked = ask_two!(card, nvmlDeviceGetPowerManagementLimitConstraints => c_uint);
        keep(&mut gpu.heat.power_max_mw, asked.map(|(_least, most)| most))
    }),
    once("nvmlDeviceGetTemperatureThreshold:slowdown", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetTemperatureThreshold, SLOWDOWN => c_uint);
        keep(&mut gpu.heat.slowdown_c, asked.map(degrees))
    }),
    once("nvmlDeviceGetTemperatureThreshold:shutdown", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetTemperatureThreshold, SHUTDOWN => c_uint);
        keep(&mut gpu.heat.shutdown_c, asked.map(degrees))
    }),
    once("nvmlDeviceGetMaxClockInfo:sm", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetMaxClockInfo, SM => c_uint);
        keep(&mut gpu.clocks.sm_max_mhz, asked)
    }),
    once("nvmlDeviceGetMaxClockInfo:memory", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetMaxClockInfo, MEMORY => c_uint);
        keep(&mut gpu.clocks.memory_max_mhz, asked)
    }),
    once("nvmlDeviceGetMaxPcieLinkGeneration", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetMaxPcieLinkGeneration => c_uint);
        keep(&mut gpu.links.pcie_generation_max, asked)
    }),
    once("nvmlDeviceGetMaxPcieLinkWidth", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetMaxPcieLinkWidth => c_uint);
        keep(&mut gpu.links.pcie_width_max, asked)
    }),
];

pub(super) fn degrees(value: c_uint) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn architecture(number: c_uint) -> &'static str {
    match number {
        NVML_DEVICE_ARCH_KEPLER => "Kepler",
        NVML_DEVICE_ARCH_MAXWELL => "Maxwell",
        NVML_DEVICE_ARCH_PASCAL => "Pascal",
        NVML_DEVICE_ARCH_VOLTA => "Volta",
        NVML_DEVICE_ARCH_TURING => "Turing",
        NVML_DEVICE_ARCH_AMPERE => "Ampere",
        NVML_DEVICE_ARCH_ADA => "Ada",
        NVML_DEVICE_ARCH_HOPPER => "Hopper",
        NVML_DEVICE_ARCH_BLACKWELL => "Blackwell",
        _ => "unknown",
    }
}

/// `nvmlGpuVirtualizationMode_t`.
fn virtualization(mode: c_uint) -> &'static str {
    match mode {
        0 => "none",
        1 => "passthrough",
        2 => "vgpu",
        3 => "host_vgpu",
        4 => "host_vsga",
        _ => "unknown",
    }
}
