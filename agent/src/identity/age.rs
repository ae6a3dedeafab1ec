//! How much time has passed between two points that may lie in different boots. Pure.
//!
//! Within one boot the monotonic clock alone counts, so that stepping the wall clock neither ends
//! nor prolongs anything, over restarts of stationd too. Across boots there is only the wall
//! clock. If that says that a point lies ahead, the truth is unknown and what depends on it has
//! expired: setting the clock back must not prolong a session.

use crate::base::moment::Moment;

/// Clocks are corrected by a little all the time; more than this is a step.
const SLACK_MS: i64 = 60_000;

/// A point in time that can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The kernel's boot id.
    pub(super) boot: String,
    pub(super) mono_ms: i64,
    pub(super) wall_ms: i64,
}

impl Stamp {
    pub(super) fn of(now: Moment, boot: &str) -> Self {
        Self { boot: boot.to_owned(), mono_ms: mono_ms(now), wall_ms: now.wall.as_millisecond() }
    }

    /// Milliseconds from `self` to `now`; `None` if that cannot be known.
    pub(super) fn elapsed_ms(&self, now: &Self) -> Option<i64> {
        if self.boot == now.boot && !self.boot.is_empty() {
            return Some(now.mono_ms.saturating_sub(self.mono_ms).max(0));
        }
        let elapsed = now.wall_ms.saturating_sub(self.wall_ms);
        (elapsed >= -SLACK_MS).then_some(elapsed.max(0))
    }
}

/// The monotonic clock as a number that SQLite can hold.
pub(super) fn mono_ms(now: Moment) -> i64 {
    i64::try_from(now.mono.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot: &str, mono_ms: i64, wall_ms: i64) -> Stamp {
        Stamp { boot: boot.into(), mono_ms, wall_ms }
    }

    #[test]
    fn which_clock_counts() {
        let then = stamp("a", 5_000, 1_000_000);
        for (now, expected) in [
            (stamp("a", 6_000, 1_001_000), Some(1_000)),
            (stamp("a", 6_000, 9_999_999_999), Some(1_000)),
            (stamp("a", 6_000, 0), Some(1_000)),
            (stamp("a", 4_000, 1_001_000), Some(0)),
            (stamp("b", 1, 1_002_000), Some(2_000)),
            (stamp("b", 9_999_999, 1_002_000), Some(2_000)),
            (stamp("b", 1, 1_000_000 - SLACK_MS), Some(0)),
            (stamp("b", 1, 1_000_000 - SLACK_MS - 1), None),
        ] {
            assert_eq!(then.elapsed_ms(&now), expected, "{now:?}");
        }
        // Without a boot id nobody knows whether it is the same boot.
        assert_eq!(stamp("", 0, 0).elapsed_ms(&stamp("", 7, 9)), Some(9));
    }
}
