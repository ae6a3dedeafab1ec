//! What GPUs look like in status and samples.

use station_proto::gpu::{Gpu, GpuSample};

use crate::{gpu, heartbeat};

/// A verdict on a GPU is a verdict on the machine.
pub(in crate::wiring) fn finding(found: &gpu::Finding) -> heartbeat::Finding {
    heartbeat::Finding {
        kind: found.kind,
        subject: found.subject.clone(),
        truth: found.truth,
        reason: found.reason,
        message: found.message.clone(),
        action: found.action.clone(),
    }
}

/// The figures of a GPU that answers.
pub(in crate::wiring) fn sample(gpu: &Gpu) -> Option<GpuSample> {
    let sample = GpuSample {
        pci: gpu.summary.pci.clone(),
        used_percent: gpu.load.gpu_percent,
        memory_used_mib: gpu.memory.used_mib,
        temperature_c: gpu.heat.gpu_c,
        power_mw: gpu.heat.power_mw,
        processes: gpu.processes.as_ref().and_then(|all| u32::try_from(all.len()).ok()),
    };
    let nothing = GpuSample { pci: gpu.summary.pci.clone(), ..GpuSample::default() };
    (sample != nothing).then_some(sample)
}
