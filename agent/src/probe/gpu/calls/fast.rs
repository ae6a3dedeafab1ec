//! What changes from moment to moment, and costs little to ask.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlClockType_enum_NVML_CLOCK_MEM as MEMORY, nvmlClockType_enum_NVML_CLOCK_SM as SM,
    nvmlEccCounterType_enum_NVML_AGGREGATE_ECC as AGGREGATE,
    nvmlEccCounterType_enum_NVML_VOLATILE_ECC as VOLATILE, nvmlMemory_v2_t,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_CORRECTED as CORRECTED,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_UNCORRECTED as UNCORRECTED,
    nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU as CHIP, nvmlUtilization_t,
};
use station_proto::gpu::{Gpu, GpuLoad, GpuMemory};

use super::super::card::{Card, ask, ask_two, keep, version};
use super::super::{Code, codes, fields, processes};
use super::once::degrees;
use super::{Call, Pace};

const fn fast(name: &'static str, run: Run) -> Call {
    Call { name, pace: Pace::Fast, run }
}

type Run = fn(Card<'_>, &mut Gpu) -> Result<(), Code>;

pub(super) const MIB: u64 = 1024 * 1024;

pub(super) const CALLS: &[Call] = &[
    fast("nvmlDeviceGetMemoryInfo_v2", memory),
    fast("nvmlDeviceGetUtilizationRates", utilization),
    fast("nvmlDeviceGetEncoderUtilization", |card, gpu| {
        let asked = ask_two!(card, nvmlDeviceGetEncoderUtilization => c_uint);
        keep(&mut gpu.load.encoder_percent, asked.map(|(share, _period)| share))
    }),
    fast("nvmlDeviceGetDecoderUtilization", |card, gpu| {
        let asked = ask_two!(card, nvmlDeviceGetDecoderUtilization => c_uint);
        keep(&mut gpu.load.decoder_percent, asked.map(|(share, _period)| share))
    }),
    fast("nvmlDeviceGetTemperature", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetTemperature, CHIP => c_uint);
        keep(&mut gpu.heat.gpu_c, asked.map(degrees))
    }),
    fast("nvmlDeviceGetPowerUsage", |card, gpu| {
        keep(&mut gpu.heat.power_mw, ask!(card, nvmlDeviceGetPowerUsage => c_uint))
    }),
    fast("nvmlDeviceGetEnforcedPowerLimit", |card, gpu| {
        keep(&mut gpu.heat.power_limit_mw, ask!(card, nvmlDeviceGetEnforcedPowerLimit => c_uint))
    }),
    fast("nvmlDeviceGetClockInfo:sm", |card, gpu| {
        keep(&mut gpu.clocks.sm_mhz, ask!(card, nvmlDeviceGetClockInfo, SM => c_uint))
    }),
    fast("nvmlDeviceGetClockInfo:memory", |card, gpu| {
        keep(&mut gpu.clocks.memory_mhz, ask!(card, nvmlDeviceGetClockInfo, MEMORY => c_uint))
    }),
    fast("nvmlDeviceGetPerformanceState", |card, gpu| {
        let asked = ask!(card, nvmlDeviceGetPerformanceState => c_uint);
        let known =
            asked.and_then(|state| if state < 16 { Ok(state) } else { Err(codes::NO_DATA) });
        keep(&mut gpu.clocks.performance_state, known)
    }),
    fast("nvmlDeviceGetCurrentClocksEventReasons", |card, gpu| {
        keep(&mut gpu.clocks.reasons, reasons(card).map(reason_names))
    }),
    fast("nvmlDeviceGetTotalEccErrors:volatile_corrected", |card, gpu| {
        keep(&mut gpu.errors.volatile_corrected, ecc(card, CORRECTED, VOLATILE))
    }),
    fast("nvmlDeviceGetTotalEccErrors:volatile_uncorrected", |card, gpu| {
        keep(&mut gpu.errors.volatile_uncorrected, ecc(card, UNCORRECTED, VOLATILE))
    }),
    fast("nvmlDeviceGetTotalEccErrors:aggregate_corrected", |card, gpu| {
        keep(&mut gpu.errors.aggregate_corrected, ecc(card, CORRECTED, AGGREGATE))
    }),
    fast("nvmlDeviceGetTotalEccErrors:aggregate_uncorrected", |card, gpu| {
        keep(&mut gpu.errors.aggregate_uncorrected, ecc(card, UNCORRECTED, AGGREGATE))
    }),
    fast("nvmlDeviceGetFieldValues:fast", fields::fast),
    Call {
        name: "nvmlDeviceGetComputeRunningProcesses_v3",
        pace: Pace::Processes,
        run: |card, gpu| keep(&mut gpu.processes, processes::all(card)),
    },
];

fn memory(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    let empty = nvmlMemory_v2_t {
        version: version::<nvmlMemory_v2_t>(2),
        total: 0,
        reserved: 0,
        free: 0,
        used: 0,
    };
    let asked = ask!(card, nvmlDeviceGetMemoryInfo_v2; from empty);
    let GpuMemory { bar1_total_mib, bar1_used_mib, .. } = gpu.memory;
    gpu.memory = GpuMemory { bar1_total_mib, bar1_used_mib, ..GpuMemory::default() };
    let found = asked.inspect_err(|_code| gpu.summary.memory_mib = None)?;
    gpu.summary.memory_mib = Some(found.total / MIB);
    gpu.memory.total_mib = Some(found.total / MIB);
    gpu.memory.used_mib = Some(found.used / MIB);
    gpu.memory.free_mib = Some(found.free / MIB);
    gpu.memory.reserved_mib = Some(found.reserved / MIB);
    Ok(())
}

fn utilization(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    let asked = ask!(card, nvmlDeviceGetUtilizationRates => nvmlUtilization_t);
    gpu.load = GpuLoad { gpu_percent: None, memory_percent: None, ..gpu.load.clone() };
    let found = asked?;
    gpu.load.gpu_percent = Some(found.gpu);
    gpu.load.memory_percent = Some(found.memory);
    Ok(())
}

fn ecc(card: Card<'_>, kind: c_uint, counter: c_uint) -> Result<u64, Code> {
    ask!(card, nvmlDeviceGetTotalEccErrors, kind, counter => c_ulonglong)
}

/// Under its name since driver 535, or under the one from before.
fn reasons(card: Card<'_>) -> Result<u64, Code> {
    match ask!(card, nvmlDeviceGetCurrentClocksEventReasons => c_ulonglong) {
        Err(codes::FUNCTION_NOT_FOUND) => {
            ask!(card, nvmlDeviceGetCurrentClocksThrottleReasons => c_ulonglong)
        }
        asked => asked,
    }
}

/// `nvmlClocksEventReason*` by name; bits without one are shown by their number.
fn reason_names(bits: u64) -> Vec<String> {
    const NAMES: [&str; 9] = [
        "gpu_idle",
        "applications_clocks_setting",
        "sw_power_cap",
        "hw_slowdown",
        "sync_boost",
        "sw_thermal_slowdown",
        "hw_thermal_slowdown",
        "hw_power_brake_slowdown",
        "display_clock_setting",
    ];
    let set = (0..u64::BITS).filter(|bit| bits >> bit & 1 == 1);
    set.map(|bit| match NAMES.get(usize::try_from(bit).unwrap_or(usize::MAX)) {
        Some(name) => (*name).to_owned(),
        None => format!("bit_{bit}"),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_their_names_and_new_ones_a_number() {
        assert_eq!(reason_names(0), [""; 0]);
        assert_eq!(reason_names(0b1), ["gpu_idle"]);
        assert_eq!(reason_names(0b100_0100), ["sw_power_cap", "hw_thermal_slowdown"]);
        assert_eq!(reason_names(1 << 40), ["bit_40"]);
    }
}
