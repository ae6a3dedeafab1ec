//! `stationd probe gpu`: the one process that calls NVIDIA's driver.
//!
//! A call of the driver may never return, and whoever made it can then not even be killed. So the
//! calls are made in a process that anybody can do without:
//!
//! ```text
//!   feature gpu ◄── lines of JSON ── child ─┬─ rounds   every ten seconds, each call timed
//!                                           ├─ events   Xids as the driver reports them
//!                                           ├─ watch    says which call does not return
//!                                           └─ listen   ends with whoever asked
//! ```
//!
//! Invariants: one call that fails hides no other; a value that could not be read is absent; the
//! child outlives nobody who listens to it.
//!
//! Not here: what the values mean (`gpu`).

#![expect(unsafe_code, reason = "a library of C: its functions are called as its header says")]

mod calls;
mod card;
mod child;
mod events;
mod fields;
mod latency;
mod library;
mod processes;
mod watch;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use station_proto::gpu::{Gpu, GpuCall};

pub use self::child::run;

/// A return code of NVML: `nvmlReturn_t`.
pub type Code = u32;

/// Return codes that are treated in a way of their own; all are listed in `nvml.h`.
pub mod codes {
    use super::Code;

    pub const INVALID_ARGUMENT: Code = 2;
    pub const NOT_SUPPORTED: Code = 3;
    pub const NOT_FOUND: Code = 6;
    pub const INSUFFICIENT_SIZE: Code = 7;
    pub const DRIVER_NOT_LOADED: Code = 9;
    pub const TIMEOUT: Code = 10;
    pub const LIBRARY_NOT_FOUND: Code = 12;
    pub const FUNCTION_NOT_FOUND: Code = 13;
    pub const CORRUPTED_INFOROM: Code = 14;
    pub const GPU_IS_LOST: Code = 15;
    pub const RESET_REQUIRED: Code = 16;
    pub const LIB_RM_VERSION_MISMATCH: Code = 18;
    pub const NO_DATA: Code = 21;
    pub const GPU_NOT_FOUND: Code = 28;
    pub const UNKNOWN: Code = 999;
    /// Ours: the driver answered with something that cannot be read.
    pub const GARBAGE: Code = 10_001;

    /// The GPU, the driver or the state of things has no such value.
    pub fn is_absence(code: Code) -> bool {
        matches!(code, NOT_SUPPORTED | FUNCTION_NOT_FOUND | NO_DATA | NOT_FOUND)
    }
}

/// How the child is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Between two rounds.
    pub every: Duration,
    /// Places on the PCI bus that are left alone, since a call there did not return.
    #[serde(default)]
    pub skip: Vec<String>,
}

/// One line of the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The driver answers; rounds follow.
    Started(Versions),
    /// It cannot be used: the call that failed.
    Failed {
        call: String,
        code: Code,
        /// What the loader says of a library that it does not take.
        #[serde(default)]
        why: String,
    },
    /// One look at every GPU.
    Round(Round),
    /// A call has not returned for `for_ms`.
    Slow { call: String, pci: Option<String>, for_ms: u64 },
    /// The slow call has returned.
    Returned,
    /// The driver reports an event.
    Event(Event),
    /// Of whoever holds the child: the one from before hangs and cannot be ended.
    Stuck { pid: i32 },
    /// How long the calls took since the child was started; an answer to `latency`.
    Latency(Vec<GpuCall>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub driver: Option<String>,
    pub library: Option<String>,
    pub cuda: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// How many GPUs the driver lists.
    pub listed: Option<u32>,
    pub gpus: Vec<Reading>,
    /// Time in calls of the driver.
    pub took_us: u64,
}

/// One GPU as a round found it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub gpu: Gpu,
    /// Why it could not be opened.
    #[serde(default)]
    pub closed: Option<Code>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub pci: Option<String>,
    pub what: EventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Xid(u32),
    /// The GPU cannot be used any more.
    Unavailable,
    /// The action that the driver asks for has changed: the next round tells.
    RecoveryAction,
}
