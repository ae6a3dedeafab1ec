//! Who holds memory of a GPU.

mod owner;

use nvml_wrapper_sys::bindings::nvmlProcessInfo_t;
use station_proto::gpu::GpuProcess;

use super::card::{Card, checked};
use super::{Code, codes};

/// More processes than this on one GPU are not listed.
const MOST: usize = 1024;
/// Room that is offered first.
const FIRST: usize = 64;
/// What NVML writes where it has no number: for a size, and for the part of a GPU.
const NO_SIZE: u64 = u64::MAX;
const NO_PART: u32 = u32::MAX;
const MIB: u64 = 1024 * 1024;

/// Processes that compute, draw, or compute through MPS, each once.
pub(super) fn all(card: Card<'_>) -> Result<Vec<GpuProcess>, Code> {
    let library = card.library;
    let lists = [
        ("compute", library.nvmlDeviceGetComputeRunningProcesses_v3.as_ref().ok()),
        ("mps", library.nvmlDeviceGetMPSComputeRunningProcesses_v3.as_ref().ok()),
        ("graphics", library.nvmlDeviceGetGraphicsRunningProcesses_v3.as_ref().ok()),
    ];
    let mut found: Vec<GpuProcess> = Vec::new();
    for (kind, function) in lists {
        // Not each GPU draws and not each driver knows MPS; each computes.
        let listed = match list(card, function) {
            Ok(listed) => listed,
            Err(code) if kind != "compute" && codes::is_absence(code) => continue,
            Err(code) => return Err(code),
        };
        for process in listed {
            let pid = i32::try_from(process.pid).unwrap_or(0);
            if found.iter().all(|other| other.pid != pid) {
                found.push(described(&process, pid, kind));
            }
        }
    }
    Ok(found)
}

type List = unsafe extern "C" fn(
    nvml_wrapper_sys::bindings::nvmlDevice_t,
    *mut u32,
    *mut nvmlProcessInfo_t,
) -> Code;

/// Asks again with more room as long as there are more.
fn list(card: Card<'_>, function: Option<&List>) -> Result<Vec<nvmlProcessInfo_t>, Code> {
    let function = function.ok_or(codes::FUNCTION_NOT_FOUND)?;
    let mut room = FIRST;
    loop {
        let empty =
            nvmlProcessInfo_t { pid: 0, usedGpuMemory: 0, gpuInstanceId: 0, computeInstanceId: 0 };
        let mut places = vec![empty; room];
        let mut count = u32::try_from(room).unwrap_or(0);
        // SAFETY: as in `ask!`; `count` says how many places there are.
        let code = unsafe { function(card.handle, &raw mut count, places.as_mut_ptr()) };
        match code {
            codes::INSUFFICIENT_SIZE if room < MOST => room *= 4,
            _ => {
                checked(code)?;
                places.truncate(usize::try_from(count).unwrap_or(room));
                return Ok(places);
            }
        }
    }
}

fn described(process: &nvmlProcessInfo_t, pid: i32, kind: &str) -> GpuProcess {
    let part = |number: u32| (number != NO_PART).then_some(number);
    let owner = owner::of(pid);
    GpuProcess {
        pid,
        kind: kind.to_owned(),
        memory_mib: (process.usedGpuMemory != NO_SIZE).then_some(process.usedGpuMemory / MIB),
        name: owner.name,
        uid: owner.uid,
        user: owner.user,
        app: owner.app,
        unit: owner.unit,
        notebook: None,
        gpu_instance: part(process.gpuInstanceId),
        compute_instance: part(process.computeInstanceId),
    }
}
