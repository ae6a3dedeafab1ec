//! How busy the parts of a GPU were, as the mean between two samples of its own counters (GPM: Hopper
//! and newer).

use nvml_wrapper_sys::bindings::{
    NVML_GPM_METRICS_GET_VERSION, NVML_GPM_SUPPORT_VERSION, nvmlGpmMetricId_t,
    nvmlGpmMetricId_t_NVML_GPM_METRIC_ANY_TENSOR_UTIL as TENSOR,
    nvmlGpmMetricId_t_NVML_GPM_METRIC_DRAM_BW_UTIL as DRAM,
    nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_UTIL as SM, nvmlGpmMetricsGet_t, nvmlGpmSample_t,
    nvmlGpmSupport_t,
};
use station_proto::gpu::Gpu;

use super::super::card::{Card, ask, checked};
use super::super::watch::Watch;
use super::super::{Code, codes};

const WANTED: [nvmlGpmMetricId_t; 3] = [SM, TENSOR, DRAM];

/// Two places for samples, which the driver keeps until this process ends.
pub(in crate::probe::gpu) struct Activity {
    before: nvmlGpmSample_t,
    after: nvmlGpmSample_t,
    /// Whether `before` holds a sample.
    begun: bool,
}

impl Activity {
    /// For a GPU that has such counters.
    pub(in crate::probe::gpu) fn new(
        card: Card<'_>,
        pci: &str,
        watch: &Watch,
    ) -> Result<Self, Code> {
        let empty = nvmlGpmSupport_t { version: NVML_GPM_SUPPORT_VERSION, isSupportedDevice: 0 };
        let asked = watch.call(
            "nvmlGpmQueryDeviceSupport",
            Some(pci),
            || ask!(card, nvmlGpmQueryDeviceSupport; from empty),
        )?;
        if asked.isSupportedDevice == 0 {
            return Err(codes::NOT_SUPPORTED);
        }
        Ok(Self { before: room(card, pci, watch)?, after: room(card, pci, watch)?, begun: false })
    }

    /// Takes a sample, and writes down what was between it and the one before.
    pub(in crate::probe::gpu) fn step(
        &mut self,
        card: Card<'_>,
        gpu: &mut Gpu,
        watch: &Watch,
    ) -> Result<(), Code> {
        let pci = gpu.summary.pci.clone();
        let load = &mut gpu.load;
        (load.sm_percent, load.tensor_percent, load.dram_percent) = (None, None, None);
        watch.call("nvmlGpmSampleGet", Some(&pci), || {
            let function = card.library.nvmlGpmSampleGet.as_ref();
            let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
            // SAFETY: the GPU is open, and the driver made the sample's place.
            checked(unsafe { function(card.handle, self.after) })
        })?;
        if self.begun {
            let [sm, tensor, dram] =
                watch.call("nvmlGpmMetricsGet", Some(&pci), || self.between(card))?;
            (load.sm_percent, load.tensor_percent, load.dram_percent) = (sm, tensor, dram);
        }
        self.begun = true;
        std::mem::swap(&mut self.before, &mut self.after);
        Ok(())
    }

    /// In percent; each may be missing.
    fn between(&self, card: Card<'_>) -> Result<[Option<f64>; 3], Code> {
        let function = card.library.nvmlGpmMetricsGet.as_ref();
        let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
        // SAFETY: a structure of numbers and pointers; all zeros is one.
        let mut asked: Box<nvmlGpmMetricsGet_t> = Box::new(unsafe { std::mem::zeroed() });
        asked.version = NVML_GPM_METRICS_GET_VERSION;
        asked.numMetrics = u32::try_from(WANTED.len()).unwrap_or(0);
        (asked.sample1, asked.sample2) = (self.before, self.after);
        for (place, wanted) in asked.metrics.iter_mut().zip(WANTED) {
            place.metricId = wanted;
        }
        // SAFETY: both samples are the driver's, and the structure is the one that it expects.
        checked(unsafe { function(&raw mut *asked) })?;
        let mut found = asked.metrics.iter().map(|one| {
            (one.nvmlReturn == 0 && (0.0..=100.0).contains(&one.value)).then_some(tenth(one.value))
        });
        Ok([(); 3].map(|()| found.next().flatten()))
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A place for a sample.
fn room(card: Card<'_>, pci: &str, watch: &Watch) -> Result<nvmlGpmSample_t, Code> {
    watch.call("nvmlGpmSampleAlloc", Some(pci), || {
        let function = card.library.nvmlGpmSampleAlloc.as_ref();
        let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
        let mut sample: nvmlGpmSample_t = std::ptr::null_mut();
        // SAFETY: it fills one pointer.
        checked(unsafe { function(&raw mut sample) }).map(|()| sample)
    })
}
