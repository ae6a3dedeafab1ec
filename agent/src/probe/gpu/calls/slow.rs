//! What changes seldom, or costs more to ask.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlEccSramErrorStatus_t, nvmlGpuFabricInfo_v2_t, nvmlMarginTemperature_t,
    nvmlRowRemapperHistogramValues_t,
};
use station_proto::gpu::{Gpu, GpuErrors, GpuLinks, GpuMemory, GpuModes, MigDevice, NvLink};

use super::super::card::{Card, ask, ask_text, ask_two, keep, version};
use super::super::{Code, codes, fields};
use super::fast::MIB;
use super::{Call, Pace};

const fn slow(name: &'static str, run: Run) -> Call {
    Call { name, pace: Pace::Slow, run }
}

type Run = fn(Card<'_>, &mut Gpu) -> Result<(), Code>;

pub(super) const CALLS: &[Call] = &[
    slow("nvmlDeviceGetBAR1MemoryInfo", bar1),
    slow("nvmlDeviceGetFanSpeed", |card, gpu| {
        keep(&mut gpu.heat.fan_percent, ask!(card, nvmlDeviceGetFanSpeed => c_uint))
    }),
    slow("nvmlDeviceGetMarginTemperature", |card, gpu| {
        let version = version::<nvmlMarginTemperature_t>(1);
        let empty = nvmlMarginTemperature_t { version, marginTemperature: 0 };
        let asked = ask!(card, nvmlDeviceGetMarginTemperature; from empty);
        keep(&mut gpu.heat.margin_c, asked.map(|found| found.marginTemperature))
    }),
    slow("nvmlDeviceGetTotalEnergyConsumption", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetTotalEnergyConsumption => c_ulonglong);
        keep(&mut gpu.heat.energy_mj, asked)
    }),
    slow("nvmlDeviceGetEccMode", |card, gpu| {
        let asked = ask_two!(card, nvmlDeviceGetEccMode => c_uint);
        gpu.errors = GpuErrors { ecc: None, ecc_pending: None, ..gpu.errors.clone() };
        let (now, pending) = asked?;
        gpu.errors.ecc = Some(now == 1);
        gpu.errors.ecc_pending = Some(pending == 1);
        Ok(())
    }),
    slow("nvmlDeviceGetSramEccErrorStatus", |card, gpu| {
        let version = version::<nvmlEccSramErrorStatus_t>(1);
        // SAFETY: a structure of numbers; all zeros is one.
        let empty = nvmlEccSramErrorStatus_t { version, ..unsafe { std::mem::zeroed() } };
        let asked = ask!(card, nvmlDeviceGetSramEccErrorStatus; from empty);
        let exceeded = asked.map(|found| found.bThresholdExceeded != 0);
        keep(&mut gpu.errors.sram_threshold_exceeded, exceeded)
    }),
    slow("nvmlDeviceGetRowRemapperHistogram", |card, gpu| {
        let asked =
            ask!(card, nvmlDeviceGetRowRemapperHistogram => nvmlRowRemapperHistogramValues_t);
        keep(&mut gpu.errors.banks_without_spares, asked.map(|found| found.none))
    }),
    slow("nvmlDeviceGetCurrPcieLinkGeneration", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetCurrPcieLinkGeneration => c_uint);
        keep(&mut gpu.links.pcie_generation, asked)
    }),
    slow("nvmlDeviceGetCurrPcieLinkWidth", |card, gpu| {
        keep(&mut gpu.links.pcie_width, ask!(card, nvmlDeviceGetCurrPcieLinkWidth => c_uint))
    }),
    slow("nvmlDeviceGetPcieReplayCounter", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetPcieReplayCounter => c_uint);
        keep(&mut gpu.links.pcie_replays, asked.map(u64::from))
    }),
    slow("nvmlDeviceGetNvLinkState", nvlinks),
    slow("nvmlDeviceGetGpuFabricInfoV", fabric),
    slow("nvmlDeviceGetPersistenceMode", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetPersistenceMode => c_uint);
        keep(&mut gpu.modes.persistence, asked.map(|mode| mode == 1))
    }),
    slow("nvmlDeviceGetComputeMode", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetComputeMode => c_uint);
        keep(&mut gpu.modes.compute, asked.map(|mode| compute_mode(mode).to_owned()))
    }),
    slow("nvmlDeviceGetMigMode", mig),
    slow("nvmlDeviceGetFieldValues:slow", fields::slow),
];

fn bar1(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    let asked = ask!(card, nvmlDeviceGetBAR1MemoryInfo => nvmlBAR1Memory_t);
    gpu.memory = GpuMemory { bar1_total_mib: None, bar1_used_mib: None, ..gpu.memory.clone() };
    let found = asked?;
    gpu.memory.bar1_total_mib = Some(found.bar1Total / MIB);
    gpu.memory.bar1_used_mib = Some(found.bar1Used / MIB);
    Ok(())
}

/// The most links that a GPU of today has (`NVML_NVLINK_MAX_LINKS`).
const LINKS: c_uint = 18;

/// A GPU without links says so at the first link; one with fewer links at the first that it lacks.
fn nvlinks(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    let mut found = Vec::new();
    let mut ended = Ok(());
    for link in 0..LINKS {
        match ask!(card, nvmlDeviceGetNvLinkState, link => c_uint) {
            Ok(state) => found.push(nvlink(card, link, state == 1)),
            Err(codes::INVALID_ARGUMENT) if link > 0 => break,
            Err(code) => {
                ended = Err(code);
                break;
            }
        }
    }
    gpu.links.nvlinks = if ended.is_ok() { found } else { Vec::new() };
    ended
}

fn nvlink(card: Card<'_>, link: c_uint, active: bool) -> NvLink {
    let counter = |which: c_uint| {
        let asked = ask!(card, nvmlDeviceGetNvLinkErrorCounter, link, which => c_ulonglong);
        asked.ok().filter(|_count| active)
    };
    // `nvmlNvLinkErrorCounter_t`: 0 replays, 1 recoveries, 2 and 3 CRC errors of flits and of data.
    let crc = [counter(2), counter(3)].into_iter().flatten().reduce(u64::saturating_add);
    NvLink {
        link,
        active: Some(active),
        replays: counter(0),
        recoveries: counter(1),
        crc_errors: crc,
    }
}

fn fabric(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    // SAFETY: a structure of numbers; all zeros is one.
    let zeros: nvmlGpuFabricInfo_v2_t = unsafe { std::mem::zeroed() };
    let version = version::<nvmlGpuFabricInfo_v2_t>(2);
    let empty = nvmlGpuFabricInfo_v2_t { version, ..zeros };
    // The parameter is of a later version's type; the driver goes by the field `version`.
    let asked = match card.library.nvmlDeviceGetGpuFabricInfoV.as_ref() {
        Err(_missing) => Err(codes::FUNCTION_NOT_FOUND),
        Ok(function) => {
            let mut value = empty;
            // SAFETY: as in `ask!`; the version tells the driver how long the structure is.
            let code = unsafe { function(card.handle, (&raw mut value).cast()) };
            super::super::card::checked(code).map(|()| value)
        }
    };
    gpu.links = GpuLinks { fabric: None, fabric_status: None, ..gpu.links.clone() };
    let found = asked?;
    gpu.links.fabric = match found.state {
        1 => Some("not_started".to_owned()),
        2 => Some("in_progress".to_owned()),
        3 => Some("completed".to_owned()),
        // 0: this GPU is in no fabric.
        _ => return Err(codes::NOT_SUPPORTED),
    };
    gpu.links.fabric_status = (found.state == 3).then_some(found.status);
    Ok(())
}

fn mig(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    let asked = ask_two!(card, nvmlDeviceGetMigMode => c_uint);
    gpu.modes = GpuModes { mig: None, mig_pending: None, ..gpu.modes.clone() };
    gpu.mig = Vec::new();
    let (now, pending) = asked?;
    gpu.modes.mig = Some(now == 1);
    gpu.modes.mig_pending = Some(pending == 1);
    if now == 1 {
        gpu.mig = mig_devices(card)?;
    }
    Ok(())
}

fn mig_devices(card: Card<'_>) -> Result<Vec<MigDevice>, Code> {
    use nvml_wrapper_sys::bindings::nvmlDevice_t;
    let most = ask!(card, nvmlDeviceGetMaxMigDeviceCount => c_uint)?;
    let mut found = Vec::new();
    for number in 0..most.min(64) {
        match ask!(card, nvmlDeviceGetMigDeviceHandleByIndex, number => nvmlDevice_t) {
            Ok(handle) => found.push(mig_device(Card { handle, ..card })),
            // This place is free.
            Err(codes::NOT_FOUND | codes::INVALID_ARGUMENT) => {}
            Err(code) => return Err(code),
        }
    }
    Ok(found)
}

fn mig_device(part: Card<'_>) -> MigDevice {
    let mut whole = Gpu::default();
    let memory = super::fast::CALLS.iter().find(|call| call.name == "nvmlDeviceGetMemoryInfo_v2");
    let known = memory.is_some_and(|call| (call.run)(part, &mut whole).is_ok());
    MigDevice {
        uuid: ask_text!(part, nvmlDeviceGetUUID).ok(),
        name: ask_text!(part, nvmlDeviceGetName).ok(),
        gpu_instance: ask!(part, nvmlDeviceGetGpuInstanceId => c_uint).ok(),
        compute_instance: ask!(part, nvmlDeviceGetComputeInstanceId => c_uint).ok(),
        memory_total_mib: whole.memory.total_mib.filter(|_mib| known),
        memory_used_mib: whole.memory.used_mib.filter(|_mib| known),
    }
}

/// `nvmlComputeMode_t`.
fn compute_mode(mode: c_uint) -> &'static str {
    match mode {
        0 => "default",
        1 => "exclusive_thread",
        2 => "prohibited",
        3 => "exclusive_process",
        _ => "unknown",
    }
}
