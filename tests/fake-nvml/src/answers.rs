//! The functions of the library.

mod cuda;
mod gpm;
mod lists;

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlDevice_t, nvmlEccSramErrorStatus_t, nvmlGpuFabricInfo_v2_t,
    nvmlMarginTemperature_t, nvmlMemory_v2_t, nvmlPciInfo_t, nvmlRowRemapperHistogramValues_t,
    nvmlUtilization_t,
};

use crate::script::{devices, fault, numbers, text, with};

pub use cuda::*;
pub use gpm::*;
pub use lists::*;

const INVALID_ARGUMENT: u32 = 2;
const NOT_SUPPORTED: u32 = 3;
const NOT_FOUND: u32 = 6;
const INSUFFICIENT_SIZE: u32 = 7;
const TIMEOUT: u32 = 10;
const VERSION_MISMATCH: u32 = 25;
/// In the file: the function answers that the GPU has no such thing.
const NONE: u64 = u64::MAX;

/// Handles are numbers: 1 and up for GPUs, 1000 and up for their parts.
fn device(handle: nvmlDevice_t) -> usize {
    let number = handle.addr();
    if number >= 1000 { number / 1000 - 1 } else { number.wrapping_sub(1) }
}

fn handle(number: usize) -> nvmlDevice_t {
    std::ptr::without_provenance_mut(number)
}

macro_rules! or_return {
    ($code:expr) => {
        match $code {
            0 => {}
            code => return code,
        }
    };
}

use or_return;

/// Functions that fill one number: name, further parameters, what an idle H100 says.
macro_rules! one_number {
    ($($name:ident $(($parameter:ident))? -> $type:ty = $usual:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            card: nvmlDevice_t, $($parameter: c_uint,)? value: *mut $type,
        ) -> u32 {
            let name = stringify!($name);
            or_return!(fault(name, Some(device(card))));
            let key: String = [name.to_owned() $(, format!(":{}", $parameter))?].concat();
            let [number] = numbers(&key, device(card), [$usual]);
            if number == NONE { return NOT_SUPPORTED }
            unsafe { *value = number as $type };
            0
        }
    )*};
}

/// Functions that fill two numbers.
macro_rules! two_numbers {
    ($($name:ident -> $type:ty = $one:expr, $two:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            card: nvmlDevice_t, one: *mut $type, two: *mut $type,
        ) -> u32 {
            or_return!(fault(stringify!($name), Some(device(card))));
            let [first, second] = numbers(stringify!($name), device(card), [$one, $two]);
            if first == NONE { return NOT_SUPPORTED }
            unsafe { *one = first as $type; *two = second as $type };
            0
        }
    )*};
}

/// Functions that fill a text: name, key in the file, usual text.
macro_rules! one_text {
    ($($name:ident = $key:literal, $usual:literal;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(card: nvmlDevice_t, to: *mut c_char, room: c_uint) -> u32 {
            or_return!(fault(stringify!($name), Some(device(card))));
            unsafe { put(&text(Some(device(card)), $key, $usual), to, room) }
        }
    )*};
}

unsafe fn put(text: &str, to: *mut c_char, room: c_uint) -> u32 {
    // A text that is no UTF-8, as some drivers give.
    let bytes = if text == "\\xff" { &b"\xff\xfe"[..] } else { text.as_bytes() };
    if bytes.len() >= room as usize {
        return INSUFFICIENT_SIZE;
    }
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len());
        *to.add(bytes.len()) = 0;
    }
    0
}

one_number! {
    nvmlDeviceGetArchitecture -> c_uint = 9;
    nvmlDeviceGetMinorNumber -> c_uint = 0;
    nvmlDeviceGetNumGpuCores -> c_uint = 16_896;
    nvmlDeviceGetVirtualizationMode -> c_uint = 1;
    nvmlDeviceGetPowerManagementDefaultLimit -> c_uint = 700_000;
    nvmlDeviceGetTemperatureThreshold(kind) -> c_uint = if kind == 0 { 95 } else { 89 };
    nvmlDeviceGetMaxClockInfo(kind) -> c_uint = if kind == 2 { 2619 } else { 1980 };
    nvmlDeviceGetMaxPcieLinkGeneration -> c_uint = 5;
    nvmlDeviceGetMaxPcieLinkWidth -> c_uint = 16;
    nvmlDeviceGetTemperature(kind) -> c_uint = 37;
    nvmlDeviceGetPowerUsage -> c_uint = 70_000;
    nvmlDeviceGetEnforcedPowerLimit -> c_uint = 700_000;
    nvmlDeviceGetClockInfo(kind) -> c_uint = if kind == 2 { 2619 } else { 345 };
    nvmlDeviceGetPerformanceState -> c_uint = 0;
    nvmlDeviceGetCurrentClocksEventReasons -> c_ulonglong = 1;
    nvmlDeviceGetCurrentClocksThrottleReasons -> c_ulonglong = 1;
    nvmlDeviceGetFanSpeed -> c_uint = NONE;
    nvmlDeviceGetTotalEnergyConsumption -> c_ulonglong = 2_481_105;
    nvmlDeviceGetCurrPcieLinkGeneration -> c_uint = 5;
    nvmlDeviceGetCurrPcieLinkWidth -> c_uint = 16;
    nvmlDeviceGetPcieReplayCounter -> c_uint = 0;
    nvmlDeviceGetNvLinkState(link) -> c_uint = NONE;
    nvmlDeviceGetPersistenceMode -> c_uint = 1;
    nvmlDeviceGetComputeMode -> c_uint = 0;
    nvmlDeviceGetMaxMigDeviceCount -> c_uint = 7;
    nvmlDeviceGetGpuInstanceId -> c_uint = 1;
    nvmlDeviceGetComputeInstanceId -> c_uint = 0;
    nvmlDeviceGetSupportedEventTypes -> c_ulonglong = 65_439;
}

two_numbers! {
    nvmlDeviceGetCudaComputeCapability -> c_int = 9, 0;
    nvmlDeviceGetPowerManagementLimitConstraints -> c_uint = 200_000, 700_000;
    nvmlDeviceGetEncoderUtilization -> c_uint = 0, 100_000;
    nvmlDeviceGetDecoderUtilization -> c_uint = 0, 100_000;
    nvmlDeviceGetEccMode -> c_uint = 1, 1;
    nvmlDeviceGetMigMode -> c_uint = 0, 0;
}

one_text! {
    nvmlDeviceGetName = "name", "NVIDIA H100 80GB HBM3";
    nvmlDeviceGetSerial = "serial", "1652824037833";
    nvmlDeviceGetBoardPartNumber = "part", "692-2G520-0200-000";
    nvmlDeviceGetVbiosVersion = "vbios", "96.00.A5.00.01";
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlInit_v2() -> u32 {
    fault("nvmlInit_v2", None)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> u32 {
    fault("nvmlInitWithFlags", None)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, room: c_uint) -> u32 {
    or_return!(fault("nvmlSystemGetDriverVersion", None));
    unsafe { put(&text(None, "driver", "580.159.04"), to, room) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(to: *mut c_char, room: c_uint) -> u32 {
    or_return!(fault("nvmlSystemGetNVMLVersion", None));
    let version = format!("13.{}", text(None, "driver", "580.159.04"));
    unsafe { put(&version, to, room) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> u32 {
    or_return!(fault("nvmlSystemGetCudaDriverVersion_v2", None));
    let number = with(|script| script["cuda"].as_i64()).unwrap_or(13_000);
    unsafe { *version = c_int::try_from(number).unwrap_or(0) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> u32 {
    or_return!(fault("nvmlDeviceGetCount_v2", None));
    unsafe { *count = c_uint::try_from(devices()).unwrap_or(0) };
    0
}

fn pci(number: usize) -> String {
    text(Some(number), "pci", &format!("0000:{:02x}:00.0", number + 1))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    address: *const c_char,
    to: *mut nvmlDevice_t,
) -> u32 {
    let asked = unsafe { CStr::from_ptr(address) }.to_string_lossy().to_lowercase();
    let found = (0..devices()).find(|number| pci(*number) == asked);
    or_return!(fault("nvmlDeviceGetHandleByPciBusId_v2", found));
    let Some(number) = found else { return NOT_FOUND };
    unsafe { *to = handle(number + 1) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    to: *mut nvmlDevice_t,
) -> u32 {
    let number = index as usize;
    or_return!(fault("nvmlDeviceGetHandleByIndex_v2", Some(number)));
    if number >= devices() {
        return INVALID_ARGUMENT;
    }
    unsafe { *to = handle(number + 1) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetIndex(card: nvmlDevice_t, index: *mut c_uint) -> u32 {
    or_return!(fault("nvmlDeviceGetIndex", Some(device(card))));
    unsafe { *index = c_uint::try_from(device(card)).unwrap_or(0) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    card: nvmlDevice_t,
    to: *mut c_char,
    room: c_uint,
) -> u32 {
    let number = device(card);
    or_return!(fault("nvmlDeviceGetUUID", Some(number)));
    let usual = if card.addr() >= 1000 {
        format!("MIG-00000000-0000-0000-0000-{:012}", card.addr())
    } else {
        format!("GPU-00000000-0000-0000-0000-{number:012}")
    };
    unsafe { put(&text(Some(number), "uuid", &usual), to, room) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGspFirmwareVersion(
    card: nvmlDevice_t,
    to: *mut c_char,
) -> u32 {
    or_return!(fault("nvmlDeviceGetGspFirmwareVersion", Some(device(card))));
    unsafe { put(&text(None, "driver", "580.159.04"), to, 64) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    card: nvmlDevice_t,
    info: *mut nvmlPciInfo_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetPciInfo_v3", Some(device(card))));
    let address = format!("0000{}", pci(device(card)));
    unsafe { put(&address, (*info).busId.as_mut_ptr(), 32) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    card: nvmlDevice_t,
    memory: *mut nvmlMemory_v2_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetMemoryInfo_v2", Some(device(card))));
    let memory = unsafe { &mut *memory };
    if memory.version != version::<nvmlMemory_v2_t>(2) {
        return VERSION_MISMATCH;
    }
    let usual = [85_520_809_984, 503_316_480, 85_017_493_504, 0];
    let [total, reserved, free, used] = numbers("nvmlDeviceGetMemoryInfo_v2", device(card), usual);
    (memory.total, memory.reserved, memory.free, memory.used) = (total, reserved, free, used);
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    card: nvmlDevice_t,
    rates: *mut nvmlUtilization_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetUtilizationRates", Some(device(card))));
    let [gpu, memory] = numbers("nvmlDeviceGetUtilizationRates", device(card), [0, 0]);
    unsafe { *rates = nvmlUtilization_t { gpu: gpu as c_uint, memory: memory as c_uint } };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    card: nvmlDevice_t,
    kind: c_uint,
    counter: c_uint,
    count: *mut c_ulonglong,
) -> u32 {
    or_return!(fault("nvmlDeviceGetTotalEccErrors", Some(device(card))));
    let key = format!("nvmlDeviceGetTotalEccErrors:{kind}:{counter}");
    unsafe { [*count] = numbers(&key, device(card), [0]) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetBAR1MemoryInfo(
    card: nvmlDevice_t,
    memory: *mut nvmlBAR1Memory_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetBAR1MemoryInfo", Some(device(card))));
    let usual = [137_438_953_472, 137_437_249_536, 1_703_936];
    let [total, free, used] = numbers("nvmlDeviceGetBAR1MemoryInfo", device(card), usual);
    unsafe { *memory = nvmlBAR1Memory_t { bar1Total: total, bar1Free: free, bar1Used: used } };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMarginTemperature(
    card: nvmlDevice_t,
    margin: *mut nvmlMarginTemperature_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetMarginTemperature", Some(device(card))));
    let margin = unsafe { &mut *margin };
    if margin.version != version::<nvmlMarginTemperature_t>(1) {
        return VERSION_MISMATCH;
    }
    let [degrees] = numbers("nvmlDeviceGetMarginTemperature", device(card), [51]);
    margin.marginTemperature = degrees as c_int;
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetSramEccErrorStatus(
    card: nvmlDevice_t,
    status: *mut nvmlEccSramErrorStatus_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetSramEccErrorStatus", Some(device(card))));
    let status = unsafe { &mut *status };
    if status.version != version::<nvmlEccSramErrorStatus_t>(1) {
        return VERSION_MISMATCH;
    }
    let [exceeded] = numbers("nvmlDeviceGetSramEccErrorStatus", device(card), [0]);
    status.bThresholdExceeded = exceeded as c_uint;
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRowRemapperHistogram(
    card: nvmlDevice_t,
    values: *mut nvmlRowRemapperHistogramValues_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetRowRemapperHistogram", Some(device(card))));
    let [max, high, partial, low, none] =
        numbers("nvmlDeviceGetRowRemapperHistogram", device(card), [640, 0, 0, 0, 0]);
    unsafe {
        *values = nvmlRowRemapperHistogramValues_t {
            max: max as c_uint,
            high: high as c_uint,
            partial: partial as c_uint,
            low: low as c_uint,
            none: none as c_uint,
        };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkErrorCounter(
    card: nvmlDevice_t,
    link: c_uint,
    counter: c_uint,
    value: *mut c_ulonglong,
) -> u32 {
    or_return!(fault("nvmlDeviceGetNvLinkErrorCounter", Some(device(card))));
    let key = format!("nvmlDeviceGetNvLinkErrorCounter:{link}:{counter}");
    unsafe { [*value] = numbers(&key, device(card), [0]) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuFabricInfoV(
    card: nvmlDevice_t,
    info: *mut nvmlGpuFabricInfo_v2_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetGpuFabricInfoV", Some(device(card))));
    let info = unsafe { &mut *info };
    if info.version != version::<nvmlGpuFabricInfo_v2_t>(2) {
        return VERSION_MISMATCH;
    }
    let [state, status] = numbers("nvmlDeviceGetGpuFabricInfoV", device(card), [0, 0]);
    info.state = u8::try_from(state).unwrap_or(0);
    info.status = status as c_uint;
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    card: nvmlDevice_t,
    index: c_uint,
    to: *mut nvmlDevice_t,
) -> u32 {
    or_return!(fault("nvmlDeviceGetMigDeviceHandleByIndex", Some(device(card))));
    let parts = with(|script| script["devices"][device(card)]["mig"].as_u64()).unwrap_or(0);
    if u64::from(index) >= parts {
        return NOT_FOUND;
    }
    unsafe { *to = handle((device(card) + 1) * 1000 + index as usize) };
    0
}

fn version<T>(number: u32) -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(0) | number << 24
}
