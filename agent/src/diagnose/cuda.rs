//! CUDA: a context on a GPU, 1 MiB to it and back, by a process that may hang instead of us. It asks
//! the driver's own library, so no toolkit is needed.

#![expect(unsafe_code, reason = "a library of C: its functions are called as its header says")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::time::Duration;

use libloading::Library;

use super::{StepError, step};

/// Names the library where it is not found by name.
pub const LIBRARY: &str = "STATIOND_CUDA";
/// A context takes a second; the first on a machine without persistence mode several for each GPU.
const LIMIT: Duration = Duration::from_secs(60);
const SIZE: usize = 1024 * 1024;

/// What the driver did not do.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    #[error("libcuda.so.1 cannot be loaded")]
    Load(#[source] libloading::Error),
    #[error("libcuda.so.1 has no {0}")]
    Missing(&'static str),
    #[error("{call} failed with {name} ({code})")]
    Call { call: &'static str, code: c_uint, name: String },
    #[error("what came back from the GPU is not what was sent to it")]
    Differs,
}

/// Has `program` try it on the GPU with a number: `PROGRAM canary gpu INDEX`.
pub async fn check(program: &Path, index: u32) -> Result<(), StepError> {
    step(program, &["canary", "gpu", &index.to_string()], LIMIT).await.map(drop)
}

/// Does it here, and may hang for ever.
pub fn try_here(index: u32) -> Result<(), CudaError> {
    let name = std::env::var_os(LIBRARY).unwrap_or_else(|| "libcuda.so.1".into());
    // SAFETY: the library's initialisers run. It is the driver's, or the one that the caller names for
    // a process of their own.
    let driver = Driver(unsafe { Library::new(name) }.map_err(CudaError::Load)?);
    driver.number("cuInit", 0)?;
    let index = c_int::try_from(index).unwrap_or(c_int::MAX);
    let mut device: c_int = 0;
    let get: Call<'_, unsafe extern "C" fn(*mut c_int, c_int) -> c_uint> =
        driver.find("cuDeviceGet")?;
    // SAFETY: it fills one number.
    driver.done("cuDeviceGet", unsafe { get(&raw mut device, index) })?;
    let mut context: *mut c_void = std::ptr::null_mut();
    let retain: Call<'_, unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_uint> =
        driver.find("cuDevicePrimaryCtxRetain")?;
    // SAFETY: it fills one pointer, which is given back below.
    let retained = unsafe { retain(&raw mut context, device) };
    driver.done("cuDevicePrimaryCtxRetain", retained)?;
    let done = driver.there_and_back(context);
    let released = driver.number("cuDevicePrimaryCtxRelease_v2", device);
    done.and(released)
}

struct Driver(Library);

type Call<'a, T> = libloading::Symbol<'a, T>;

impl Driver {
    fn find<T>(&self, name: &'static str) -> Result<Call<'_, T>, CudaError> {
        // SAFETY: every type is the one of cuda.h, which NVIDIA keeps for a name for ever.
        unsafe { self.0.get(name.as_bytes()) }.map_err(|_missing| CudaError::Missing(name))
    }

    /// A function that takes one number.
    fn number(&self, call: &'static str, number: c_int) -> Result<(), CudaError> {
        let function: Call<'_, unsafe extern "C" fn(c_int) -> c_uint> = self.find(call)?;
        // SAFETY: it takes a number.
        self.done(call, unsafe { function(number) })
    }

    fn there_and_back(&self, context: *mut c_void) -> Result<(), CudaError> {
        let set: Call<'_, unsafe extern "C" fn(*mut c_void) -> c_uint> =
            self.find("cuCtxSetCurrent")?;
        // SAFETY: the context is ours.
        self.done("cuCtxSetCurrent", unsafe { set(context) })?;
        let mut memory: u64 = 0;
        let allocate: Call<'_, unsafe extern "C" fn(*mut u64, usize) -> c_uint> =
            self.find("cuMemAlloc_v2")?;
        // SAFETY: it fills one address of the GPU, which is given back below.
        self.done("cuMemAlloc_v2", unsafe { allocate(&raw mut memory, SIZE) })?;
        let copied = self.copy(memory);
        let free: Call<'_, unsafe extern "C" fn(u64) -> c_uint> = self.find("cuMemFree_v2")?;
        // SAFETY: it was allocated above.
        let freed = self.done("cuMemFree_v2", unsafe { free(memory) });
        copied.and(freed)
    }

    fn copy(&self, memory: u64) -> Result<(), CudaError> {
        let sent: Vec<u8> = (0..SIZE).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
        let mut back = vec![0_u8; SIZE];
        let to: Call<'_, unsafe extern "C" fn(u64, *const c_void, usize) -> c_uint> =
            self.find("cuMemcpyHtoD_v2")?;
        // SAFETY: both sides are as long as that.
        self.done("cuMemcpyHtoD_v2", unsafe { to(memory, sent.as_ptr().cast(), SIZE) })?;
        let from: Call<'_, unsafe extern "C" fn(*mut c_void, u64, usize) -> c_uint> =
            self.find("cuMemcpyDtoH_v2")?;
        // SAFETY: both sides are as long as that.
        self.done("cuMemcpyDtoH_v2", unsafe { from(back.as_mut_ptr().cast(), memory, SIZE) })?;
        if back == sent { Ok(()) } else { Err(CudaError::Differs) }
    }

    fn done(&self, call: &'static str, code: c_uint) -> Result<(), CudaError> {
        if code == 0 {
            return Ok(());
        }
        Err(CudaError::Call { call, code, name: self.name(code) })
    }

    /// `CUDA_ERROR_…`
    fn name(&self, code: c_uint) -> String {
        type Name = unsafe extern "C" fn(c_uint, *mut *const c_char) -> c_uint;
        let mut text: *const c_char = std::ptr::null();
        if let Ok(function) = self.find::<Name>("cuGetErrorName") {
            // SAFETY: it fills one pointer to a text that stays, or leaves it null.
            unsafe { function(code, &raw mut text) };
        }
        if text.is_null() {
            return "an unknown error".to_owned();
        }
        // SAFETY: the library's own text, which ends with a zero byte.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}
