//! The few functions of `libcuda.so.1` with which a canary copies to a GPU and back.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, PoisonError};

use crate::script::{devices, fault};

const INVALID_VALUE: u32 = 1;
const OUT_OF_MEMORY: u32 = 2;
const NOT_INITIALIZED: u32 = 3;
const INVALID_DEVICE: u32 = 101;

struct Driver {
    initialised: bool,
    /// The device whose context is current, and how often it was retained.
    context: Option<usize>,
    retained: u32,
    memory: BTreeMap<u64, Vec<u8>>,
}

static DRIVER: Mutex<Driver> =
    Mutex::new(Driver { initialised: false, context: None, retained: 0, memory: BTreeMap::new() });

/// Answers from the driver, unless the file has a fault for the call; without a context, most fail.
fn answer(
    name: &str,
    needs_context: bool,
    with: impl FnOnce(&mut Driver) -> Result<(), u32>,
) -> u32 {
    let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    match fault(name, driver.context) {
        0 if name != "cuInit" && !driver.initialised => NOT_INITIALIZED,
        0 if needs_context && driver.context.is_none() => 201,
        0 => with(&mut driver).err().unwrap_or(0),
        code => code,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuInit(flags: c_uint) -> u32 {
    answer("cuInit", false, |driver| {
        driver.initialised = true;
        if flags == 0 { Ok(()) } else { Err(INVALID_VALUE) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, index: c_int) -> u32 {
    let known = usize::try_from(index).is_ok_and(|index| index < devices());
    answer("cuDeviceGet", false, |_driver| {
        unsafe { *device = index };
        if known { Ok(()) } else { Err(INVALID_DEVICE) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(to: *mut *mut c_void, device: c_int) -> u32 {
    answer("cuDevicePrimaryCtxRetain", false, |driver| {
        driver.retained += 1;
        let number = usize::try_from(device).map_err(|_negative| INVALID_DEVICE)?;
        unsafe { *to = std::ptr::without_provenance_mut(number + 1) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: c_int) -> u32 {
    answer("cuDevicePrimaryCtxRelease_v2", false, |driver| {
        driver.retained = driver.retained.checked_sub(1).ok_or(INVALID_VALUE)?;
        if driver.memory.is_empty() { Ok(()) } else { Err(INVALID_VALUE) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetCurrent(context: *mut c_void) -> u32 {
    answer("cuCtxSetCurrent", false, |driver| {
        driver.context = context.addr().checked_sub(1);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(to: *mut u64, size: usize) -> u32 {
    answer("cuMemAlloc_v2", true, |driver| {
        if size > 80 << 30 {
            return Err(OUT_OF_MEMORY);
        }
        let address = 0x7f00_0000_0000;
        driver.memory.insert(address, vec![0; size]);
        unsafe { *to = address };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFree_v2(address: u64) -> u32 {
    let free = |driver: &mut Driver| driver.memory.remove(&address).map(drop).ok_or(INVALID_VALUE);
    answer("cuMemFree_v2", true, free)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, size: usize) -> u32 {
    let from = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), size) };
    answer("cuMemcpyHtoD_v2", true, |driver| {
        let memory = driver.memory.get_mut(&to).filter(|memory| memory.len() >= size);
        memory.ok_or(INVALID_VALUE)?[..size].copy_from_slice(from);
        Ok(())
    })
}

/// With the code 4242 in the file one byte comes back wrong, and nobody says so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, size: usize) -> u32 {
    let to = unsafe { std::slice::from_raw_parts_mut(to.cast::<u8>(), size) };
    let code = answer("cuMemcpyDtoH_v2", true, |_driver| Ok(()));
    let driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(memory) = driver.memory.get(&from).filter(|memory| memory.len() >= size) else {
        return INVALID_VALUE;
    };
    to.copy_from_slice(&memory[..size]);
    if code == 4242 {
        to[size / 2] ^= 1;
        return 0;
    }
    code
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(code: c_uint, to: *mut *const c_char) -> u32 {
    let name = match code {
        OUT_OF_MEMORY => c"CUDA_ERROR_OUT_OF_MEMORY",
        INVALID_DEVICE => c"CUDA_ERROR_INVALID_DEVICE",
        999 => c"CUDA_ERROR_UNKNOWN",
        _ => return INVALID_VALUE,
    };
    unsafe { *to = name.as_ptr() };
    0
}
