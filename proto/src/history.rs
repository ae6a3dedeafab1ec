//! The last hours of a few figures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// The answer of `GET /v1/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Between two values, in seconds.
    pub step_s: u32,
    /// The end of the last step: the last value of each series is the mean of the step before it.
    pub until: Time,
    pub series: Vec<Series>,
}

/// One figure over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// `cpu_used_percent`, `memory_used_percent`, `gpu_used_percent`, `gpu_memory_used_percent` or
    /// `gpu_temperature_c`.
    pub name: String,
    /// The GPU's place on the PCI bus, for a figure of a GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// The means of the steps, oldest first; `null` where nothing was read. Every series has as many.
    pub values: Vec<Option<f32>>,
}
