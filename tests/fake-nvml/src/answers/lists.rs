//! Functions that fill lists, and those that wait.

use std::ffi::{c_int, c_uint, c_ulonglong};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlFieldValue_t, nvmlProcessInfo_t, nvmlValue_t,
};

use super::{INSUFFICIENT_SIZE, NOT_SUPPORTED, TIMEOUT, device, handle, or_return};
use crate::script::{event, fault, with};

/// Fields that an H100 knows; the rest it leaves untouched, as that driver does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    card: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetFieldValues", Some(device(card))));
    let count = usize::try_from(count).unwrap_or(0);
    for place in unsafe { std::slice::from_raw_parts_mut(values, count) } {
        let name = format!("field:{}", place.fieldId);
        place.nvmlReturn = fault_of_field(&name, device(card));
        let set = with(|script| {
            script["devices"][device(card)]["fields"][place.fieldId.to_string()].as_u64()
        });
        let usual = match place.fieldId {
            82 => Some(43),
            74..=79 | 142..=145 | 173 | 179 | 180 | 230 => Some(0),
            29..=31 => {
                place.nvmlReturn = NOT_SUPPORTED;
                None
            }
            _ => continue,
        };
        if let Some(value) = set {
            place.nvmlReturn = 0;
            (place.valueType, place.value) = (3, nvmlValue_t { ullVal: value });
        } else if let Some(value) = usual {
            (place.valueType, place.value) = (1, nvmlValue_t { uiVal: value });
        }
    }
    0
}

/// A fault of one field alone: it has its name in the file, never `*`.
fn fault_of_field(name: &str, device: usize) -> u32 {
    let named = with(|script| {
        script["faults"].as_array().is_some_and(|all| all.iter().any(|fault| fault["fn"] == name))
    });
    if named { fault(name, Some(device)) } else { 0 }
}

macro_rules! process_list {
    ($($name:ident = $key:literal;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            card: nvmlDevice_t, count: *mut c_uint, places: *mut nvmlProcessInfo_t,
        ) -> u32 {
            or_return!(fault(stringify!($name), Some(device(card))));
            unsafe { list_processes($key, device(card), count, places) }
        }
    )*};
}

process_list! {
    nvmlDeviceGetComputeRunningProcesses_v3 = "processes";
    nvmlDeviceGetMPSComputeRunningProcesses_v3 = "mps_processes";
    nvmlDeviceGetGraphicsRunningProcesses_v3 = "graphics_processes";
}

unsafe fn list_processes(
    key: &str,
    device: usize,
    count: *mut c_uint,
    places: *mut nvmlProcessInfo_t,
) -> u32 {
    let listed: Vec<(u64, u64)> = with(|script| {
        let listed = script["devices"][device][key].as_array().cloned().unwrap_or_default();
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(u64::MAX);
        listed.iter().map(|one| (number(&one[0]), number(&one[1]))).collect()
    });
    let room = unsafe { *count } as usize;
    unsafe { *count = c_uint::try_from(listed.len()).unwrap_or(0) };
    if listed.len() > room {
        return INSUFFICIENT_SIZE;
    }
    for (index, (pid, memory)) in listed.into_iter().enumerate() {
        unsafe {
            *places.add(index) = nvmlProcessInfo_t {
                pid: pid as c_uint,
                usedGpuMemory: memory,
                gpuInstanceId: c_uint::MAX,
                computeInstanceId: c_uint::MAX,
            };
        }
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(set: *mut nvmlEventSet_t) -> u32 {
    or_return!(fault("nvmlEventSetCreate", None));
    unsafe { *set = std::ptr::without_provenance_mut(16) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceRegisterEvents(
    card: nvmlDevice_t,
    _types: c_ulonglong,
    _set: nvmlEventSet_t,
) -> u32 {
    fault("nvmlDeviceRegisterEvents", Some(device(card)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(
    _set: nvmlEventSet_t,
    data: *mut nvmlEventData_t,
    limit_ms: c_uint,
) -> u32 {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    or_return!(fault("nvmlEventSetWait_v2", None));
    let limit = Duration::from_millis(u64::from(limit_ms));
    let Some(event) = event(TAKEN.load(Ordering::SeqCst), limit) else { return TIMEOUT };
    TAKEN.fetch_add(1, Ordering::SeqCst);
    let number = |key: &str, usual| event[key].as_u64().unwrap_or(usual);
    let device = usize::try_from(number("dev", 0)).unwrap_or(0);
    unsafe {
        *data = nvmlEventData_t {
            device: handle(device + 1),
            eventType: number("type", 8),
            eventData: number("data", 0),
            gpuInstanceId: c_uint::MAX,
            computeInstanceId: c_uint::MAX,
        };
    }
    0
}
