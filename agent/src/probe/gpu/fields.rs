//! Values that NVML gives by number, many in one call, each with a return code of its own.
//!
//! A driver that does not know a field may leave its place in the answer as it was (seen with driver
//! 580 on an H100: fields 187 to 196 stayed untouched, which reads as success and zero). So each place
//! starts with a return code that no driver gives.

use std::ffi::c_int;

use nvml_wrapper_sys::bindings::{nvmlFieldValue_t, nvmlValue_t};
use station_proto::gpu::{Gpu, GpuErrors};

use super::card::{Card, checked, keep};
use super::{Code, codes};

const MEMORY_TEMPERATURE: u32 = 82;
const RETIRED_SINGLE: u32 = 29;
const RETIRED_DOUBLE: u32 = 30;
const RETIRED_PENDING: u32 = 31;
const ROWS_CORRECTED: u32 = 142;
const ROWS_UNCORRECTED: u32 = 143;
const ROWS_PENDING: u32 = 144;
const ROWS_FAILED: u32 = 145;
const RECOVERY_ACTION: u32 = 230;
const SLOWED_POWER: u32 = 74;
const SLOWED_THERMAL: u32 = 75;
const SLOWED_RELIABILITY: u32 = 79;
const PCIE_CORRECTABLE: u32 = 173;
const PCIE_NON_FATAL: u32 = 179;
const PCIE_FATAL: u32 = 180;

/// What no driver gives back.
const UNTOUCHED: Code = 0x7fff_ffff;

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// Health of the memory and what the driver asks for: 6 us a field.
pub(super) fn fast(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    let ids = [
        MEMORY_TEMPERATURE,
        RETIRED_SINGLE,
        RETIRED_DOUBLE,
        RETIRED_PENDING,
        ROWS_CORRECTED,
        ROWS_UNCORRECTED,
        ROWS_PENDING,
        ROWS_FAILED,
        RECOVERY_ACTION,
    ];
    let asked = values(card, ids);
    let missing = asked.as_ref().err().copied();
    let [memory_c, single, double, retiring, corrected, uncorrected, pending, failed, action] =
        asked.unwrap_or([Err(missing.unwrap_or(codes::NO_DATA)); 9]);
    let degrees = memory_c.map(|value| i32::try_from(value).unwrap_or(i32::MAX));
    let GpuErrors {
        retired_single_bit,
        retired_double_bit,
        retirement_pending,
        rows_corrected,
        rows_uncorrected,
        rows_pending,
        rows_failed,
        recovery_action,
        ..
    } = &mut gpu.errors;
    worst([
        // A GPU whose memory has no sensor says 0.
        keep(
            &mut gpu.heat.memory_c,
            degrees.and_then(|c| if c == 0 { Err(codes::NO_DATA) } else { Ok(c) }),
        ),
        keep(retired_single_bit, single),
        keep(retired_double_bit, double),
        keep(retirement_pending, retiring.map(|value| value != 0)),
        keep(rows_corrected, corrected),
        keep(rows_uncorrected, uncorrected),
        keep(rows_pending, pending.map(|value| value != 0)),
        keep(rows_failed, failed.map(|value| value != 0)),
        keep(recovery_action, action.map(recovery)),
    ])
}

/// Counters that the GPU's firmware is asked for: 150 to 600 us a field.
pub(super) fn slow(card: Card<'_>, gpu: &mut Gpu) -> Result<(), Code> {
    let ids = [
        SLOWED_POWER,
        SLOWED_THERMAL,
        SLOWED_RELIABILITY,
        PCIE_CORRECTABLE,
        PCIE_NON_FATAL,
        PCIE_FATAL,
    ];
    let asked = values(card, ids);
    let missing = asked.as_ref().err().copied();
    let [power, thermal, reliability, correctable, non_fatal, fatal] =
        asked.unwrap_or([Err(missing.unwrap_or(codes::NO_DATA)); 6]);
    worst([
        keep(&mut gpu.clocks.slowed_power_ms, power.map(|ns| ns / MS)),
        keep(&mut gpu.clocks.slowed_thermal_ms, thermal.map(|ns| ns / MS)),
        keep(&mut gpu.clocks.slowed_reliability_ms, reliability.map(|ns| ns / MS)),
        keep(&mut gpu.links.pcie_correctable, correctable),
        keep(&mut gpu.links.pcie_non_fatal, non_fatal),
        keep(&mut gpu.links.pcie_fatal, fatal),
    ])
}

/// `nvmlDeviceGpuRecoveryAction_t`.
fn recovery(action: u64) -> String {
    match action {
        0 => "none",
        1 => "gpu_reset",
        2 => "node_reboot",
        3 => "drain_p2p",
        4 => "drain_and_reset",
        5 => "imex",
        6 => "bus_reset",
        7 => "system_reboot",
        _ => "unknown",
    }
    .to_owned()
}

/// The first failure that is more than an absence; else the first absence.
fn worst<const N: usize>(results: [Result<(), Code>; N]) -> Result<(), Code> {
    let failures: Vec<Code> = results.into_iter().filter_map(Result::err).collect();
    match failures.iter().find(|code| !codes::is_absence(**code)) {
        Some(code) => Err(*code),
        None if failures.len() == N => Err(codes::NOT_SUPPORTED),
        None => Ok(()),
    }
}

/// Asks for all fields in one call. The answers are told apart by their place: the driver may write
/// another number into one.
fn values<const N: usize>(card: Card<'_>, ids: [u32; N]) -> Result<[Result<u64, Code>; N], Code> {
    let function = card.library.nvmlDeviceGetFieldValues.as_ref();
    let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
    let mut places = ids.map(|id| nvmlFieldValue_t {
        fieldId: id,
        scopeId: 0,
        timestamp: 0,
        latencyUsec: 0,
        valueType: u32::MAX,
        nvmlReturn: UNTOUCHED,
        value: nvmlValue_t { ullVal: 0 },
    });
    let count = c_int::try_from(N).unwrap_or(0);
    // SAFETY: as in `ask!`; there are `count` places.
    checked(unsafe { function(card.handle, count, places.as_mut_ptr()) })?;
    Ok(places.map(|place| value(&place)))
}

/// A field's value as a whole number.
fn value(place: &nvmlFieldValue_t) -> Result<u64, Code> {
    match place.nvmlReturn {
        0 => {}
        UNTOUCHED => return Err(codes::NO_DATA),
        code => return Err(code),
    }
    // SAFETY: all its bytes were set before the call, and each member begins at the first of them.
    let bytes = unsafe { place.value.ullVal }.to_ne_bytes();
    let [a, b, c, d, ..] = bytes;
    let signed = |value: i64| u64::try_from(value).map_err(|_negative| codes::GARBAGE);
    match place.valueType {
        // `nvmlValueType_t`
        1 => Ok(u64::from(u32::from_ne_bytes([a, b, c, d]))),
        2 | 3 => Ok(u64::from_ne_bytes(bytes)),
        4 => signed(i64::from_ne_bytes(bytes)),
        5 => signed(i64::from(i32::from_ne_bytes([a, b, c, d]))),
        6 => Ok(u64::from(u16::from_ne_bytes([a, b]))),
        _ => Err(codes::GARBAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(kind: u32, code: Code, value: u64) -> nvmlFieldValue_t {
        nvmlFieldValue_t {
            fieldId: 1,
            scopeId: 0,
            timestamp: 0,
            latencyUsec: 0,
            valueType: kind,
            nvmlReturn: code,
            value: nvmlValue_t { ullVal: value },
        }
    }

    #[test]
    fn a_place_that_the_driver_did_not_touch_has_no_value() {
        assert_eq!(super::value(&place(3, UNTOUCHED, 0)), Err(codes::NO_DATA));
        assert_eq!(super::value(&place(3, 15, 0)), Err(codes::GPU_IS_LOST));
        assert_eq!(super::value(&place(1, 0, 7)), Ok(7));
        assert_eq!(super::value(&place(4, 0, u64::MAX)), Err(codes::GARBAGE));
        assert_eq!(super::value(&place(0, 0, 0)), Err(codes::GARBAGE));
    }

    #[test]
    fn one_failure_stands_out_among_absences() {
        let (lost, absent) = (Err(codes::GPU_IS_LOST), Err(codes::NOT_SUPPORTED));
        assert_eq!(worst([Ok(()), absent, lost]), lost);
        assert_eq!(worst([Ok(()), absent, Ok(())]), Ok(()));
        assert_eq!(worst([absent; 3]), absent);
    }
}
