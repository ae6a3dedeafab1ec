//! What can happen to an app, and what is to be done about it: both lists are closed.

use station_proto::cause::Cause;

use crate::apps::StartOn;

/// Who wants a stop, as far as the decisions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::apps) enum StopBy {
    User,
    Down,
    /// It left the configuration.
    Left,
    NotReady,
    Idle,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::apps) enum Event {
    /// What there was of an earlier run; the first event, once.
    Running {
        generation: u64,
        pid: i32,
    },
    EndedBefore(Cause),
    NothingBefore,
    /// Commands.
    Start,
    Stop,
    Restart,
    /// A request came for an app that starts on demand.
    Demand,
    /// It has been idle for long enough; a request starts it again.
    Idle,
    /// Everything is to stop; what is wanted stays as it is.
    Down,
    /// It is not in the configuration any more.
    Left,
    /// It is in the configuration, with this `start`.
    Configured(StartOn),
    /// The program was looked for.
    Found,
    Missing(String),
    Launched {
        pid: i32,
    },
    LaunchFailed(Cause),
    Answered,
    Silent,
    /// It has ended, with everything below it.
    Ended(Cause),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::apps) enum Effect {
    Find,
    /// Persist the intent, then start.
    Launch {
        generation: u64,
    },
    Probe {
        generation: u64,
    },
    Stop {
        by: StopBy,
    },
    /// The keeper did not manage: end it and everything that belongs to the app.
    ForceEnd,
    /// What the user has said, if anything that still holds.
    SaveWanted(Option<bool>),
    SaveEnd(Cause),
    Note {
        kind: &'static str,
        message: String,
    },
}

/// What was remembered over a restart of stationd.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::apps) struct Remembered {
    /// What the user said last; absent if they never said anything.
    pub(in crate::apps) wanted: Option<bool>,
    pub(in crate::apps) generation: u64,
    pub(in crate::apps) last_end: Option<Cause>,
}

pub(super) fn stopping(by: StopBy) -> &'static str {
    match by {
        StopBy::User => "being stopped on request",
        StopBy::Down => "being stopped with everything else",
        StopBy::Left => "being stopped: it left the configuration",
        StopBy::Idle => "being stopped: nobody has used it for long enough",
        StopBy::NotReady => "being ended: it did not answer within 60 s of its start",
    }
}
