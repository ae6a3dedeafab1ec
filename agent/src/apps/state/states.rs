//! The states of an app, and what others see of each. Pure.

use std::time::Duration;

use station_proto::app::AppPhase;

use super::StopBy;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Recovering,
    Stopped,
    Finding,
    Launching {
        stop: Option<StopBy>,
        then: Then,
    },
    /// Runs, and has not answered yet; an adopted one has no deadline.
    Starting {
        deadline: Option<Duration>,
    },
    Ready {
        since: Duration,
    },
    Degraded,
    Stopping {
        then: Then,
        force_at: Duration,
    },
    Backoff {
        due: Duration,
    },
    Failed {
        due: Duration,
    },
    Unavailable {
        due: Duration,
    },
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Rest,
    Restart,
    /// As after an end that nobody asked for.
    Retry,
}

impl State {
    pub(super) fn phase(&self) -> AppPhase {
        match self {
            Self::Stopped => AppPhase::Stopped,
            Self::Recovering
            | Self::Finding
            | Self::Launching { stop: None, .. }
            | Self::Starting { .. } => AppPhase::Starting,
            Self::Ready { .. } => AppPhase::Ready,
            Self::Degraded => AppPhase::Degraded,
            Self::Launching { stop: Some(_), .. } | Self::Stopping { .. } => AppPhase::Stopping,
            Self::Backoff { .. } => AppPhase::Backoff,
            Self::Failed { .. } => AppPhase::Failed,
            Self::Unavailable { .. } => AppPhase::Unavailable,
        }
    }

    /// Whether a process of the app may exist.
    pub(super) fn occupied(&self) -> bool {
        matches!(
            self,
            Self::Recovering
                | Self::Launching { .. }
                | Self::Starting { .. }
                | Self::Ready { .. }
                | Self::Degraded
                | Self::Stopping { .. }
        )
    }

    /// When something is to be done by itself.
    pub(super) fn due(&self) -> Option<Duration> {
        match *self {
            Self::Backoff { due } | Self::Failed { due } | Self::Unavailable { due } => Some(due),
            Self::Starting { deadline } => deadline,
            Self::Stopping { force_at, .. } => Some(force_at),
            _ => None,
        }
    }
}
