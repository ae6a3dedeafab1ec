//! Counters of a GPU's parts. A place for a sample is a number; what lies between two is what the file
//! says under `"nvmlGpmMetricsGet": [multiprocessors, tensor cores, memory]`, in tenths of a percent.

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlGpmMetricsGet_t, nvmlGpmSample_t, nvmlGpmSupport_t,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{INVALID_ARGUMENT, NOT_SUPPORTED, VERSION_MISMATCH, device, or_return};
use crate::script::{fault, numbers};

/// The GPU that each place holds a sample of.
static SAMPLES: Mutex<BTreeMap<usize, Option<usize>>> = Mutex::new(BTreeMap::new());

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmQueryDeviceSupport(
    card: nvmlDevice_t,
    support: *mut nvmlGpmSupport_t,
) -> u32 {
    or_return!(fault("nvmlGpmQueryDeviceSupport", Some(device(card))));
    if unsafe { (*support).version } != 1 {
        return VERSION_MISMATCH;
    }
    unsafe { (*support).isSupportedDevice = 1 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmSampleAlloc(sample: *mut nvmlGpmSample_t) -> u32 {
    or_return!(fault("nvmlGpmSampleAlloc", None));
    let mut all = SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
    let number = all.len() + 1;
    all.insert(number, None);
    unsafe { *sample = std::ptr::without_provenance_mut(number) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmSampleGet(card: nvmlDevice_t, sample: nvmlGpmSample_t) -> u32 {
    or_return!(fault("nvmlGpmSampleGet", Some(device(card))));
    let mut all = SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(place) = all.get_mut(&sample.addr()) else { return INVALID_ARGUMENT };
    *place = Some(device(card));
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmMetricsGet(asked: *mut nvmlGpmMetricsGet_t) -> u32 {
    let asked = unsafe { &mut *asked };
    let all = SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |sample: nvmlGpmSample_t| all.get(&sample.addr()).copied().flatten();
    let (Some(one), Some(two)) = (of(asked.sample1), of(asked.sample2)) else {
        return INVALID_ARGUMENT;
    };
    or_return!(fault("nvmlGpmMetricsGet", Some(one)));
    match (asked.version == 1, one == two && asked.sample1 != asked.sample2) {
        (false, _) => return VERSION_MISMATCH,
        (_, false) => return INVALID_ARGUMENT,
        _ => {}
    }
    let [sm, tensor, dram] = numbers("nvmlGpmMetricsGet", one, [0, 0, 0]);
    for place in asked.metrics.iter_mut().take(asked.numMetrics as usize) {
        let value = match place.metricId {
            2 => sm,
            5 => tensor,
            10 => dram,
            _ => {
                place.nvmlReturn = NOT_SUPPORTED;
                continue;
            }
        };
        let tenths = u32::try_from(value).unwrap_or(u32::MAX);
        (place.nvmlReturn, place.value) = (0, f64::from(tenths) / 10.0);
    }
    0
}
