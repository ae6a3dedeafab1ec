//! The order in which the daemon ends, with a limit for each step; and the watchdog, which sees to it
//! that a daemon that hangs ends too.
//!
//! SIGTERM ends stationd alone: apps go on and are adopted by the next one. `stationctl down`
//! stops every app first. The unit's `TimeoutStopSec` must be larger than the sum (a golden test
//! holds that).

pub mod aborted;
mod trace;
pub mod watchdog;

use std::time::Duration;

use crate::base::limits;

/// One step of the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub limit: Duration,
}

/// Requests that are on their way, then requests and tunnels in flight.
pub const DRAIN: Step =
    Step { name: "drain", limit: limits::FIRST_REQUEST.saturating_add(limits::DRAIN) };
/// Every task of the daemon.
pub const TASKS: Step = Step { name: "tasks", limit: Duration::from_secs(5) };
/// What the store still holds.
pub const STORE: Step = Step { name: "store", limit: limits::STORE_WRITE };

/// The steps after SIGTERM, in their order.
pub const STOP_ORDER: [Step; 3] = [DRAIN, TASKS, STORE];

/// The longest that a stop can take.
pub fn stop_limit() -> Duration {
    STOP_ORDER.iter().map(|step| step.limit).sum()
}
