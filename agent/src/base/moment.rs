//! A point in time, passed as a parameter so that decisions never ask the clock.

use std::time::Duration;

use jiff::Timestamp;

/// Both clocks at once: `wall` is for people and the wire, `mono` for deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Time since boot; never steps.
    pub mono: Duration,
    /// UTC; may step.
    pub wall: Timestamp,
}

impl Moment {
    /// A moment for tests and for replayed histories: `ms` after the epoch on both clocks.
    pub fn at_ms(ms: u64) -> Self {
        let wall = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self { mono: Duration::from_millis(ms), wall: wall.unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    /// The same moment on the monotonic clock, `by` later. The wall clock moves along.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let step = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::ZERO);
        let wall = self.wall.checked_add(step).unwrap_or(self.wall);
        Self { mono: self.mono.saturating_add(by), wall }
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.mono.saturating_sub(earlier.mono)
    }
}
