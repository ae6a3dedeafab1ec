//! The only place that asks what time it is.

use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

use crate::base::moment::Moment;

/// Now, on both clocks. `mono` counts from boot and goes on over suspend (`CLOCK_BOOTTIME`).
pub fn now() -> Moment {
    Moment { mono: since_boot(), wall: Timestamp::now() }
}

/// Time since boot.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Time since boot in which the machine was awake: a pause of it makes nobody late.
pub fn awake() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
