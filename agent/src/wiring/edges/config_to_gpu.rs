//! What the configuration says of the GPUs. Pure.

use crate::config::Config;
use crate::gpu;

/// How many there should be.
pub(in crate::wiring) fn config(config: &Config) -> gpu::Config {
    gpu::Config { expected: config.gpu.expected }
}
