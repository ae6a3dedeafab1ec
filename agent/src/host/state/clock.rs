//! Whether the wall clock is kept, and whether it jumped. Pure.

use std::time::Duration;

use crate::base::moment::Moment;
use crate::probe::host::Kept;

/// A difference between the clocks that is a jump.
const JUMP_MS: i64 = 2000;
/// How long a jump is news.
const RECENT: Duration = Duration::from_secs(600);

/// What is known of how the clock is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::host) enum Known {
    #[default]
    NotYet,
    /// The kernel may not be asked.
    Denied,
    Kept(Kept),
}

#[derive(Debug, Clone, Default)]
pub(in crate::host) struct Clock {
    pub known: Known,
    /// What systemd said last, where the kernel may not be asked.
    pub asked: Option<Kept>,
    /// Wall clock less time since boot, in ms.
    offset: Option<i64>,
    jump: Option<(Moment, i64)>,
}

impl Clock {
    /// Another sample was taken; time since boot goes on over a pause of the machine.
    pub(in crate::host) fn ticked(&mut self, now: Moment, stepped_ms: i64) {
        let mono = i64::try_from(now.mono.as_millis()).unwrap_or(i64::MAX);
        let offset = now.wall.as_millisecond().saturating_add(stepped_ms).saturating_sub(mono);
        if let Some(before) = self.offset.replace(offset) {
            let by = offset.saturating_sub(before);
            if by.saturating_abs() > JUMP_MS {
                self.jump = Some((now, by));
            }
        }
    }

    /// The last jump, in ms, forward or back, while it is news.
    pub(in crate::host) fn jumped(&self, now: Moment) -> Option<i64> {
        self.jump.filter(|(at, _)| now.since(*at) < RECENT).map(|(_, by)| by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_news_for_ten_minutes_and_a_drift_never_is() {
        let mut clock = Clock::default();
        let start = Moment::at_ms(1_000_000);
        for second in 0..60 {
            // It runs a tenth too fast.
            let now = start.after(Duration::from_secs(second));
            clock.ticked(now, i64::try_from(second).unwrap() * 100);
        }
        let now = start.after(Duration::from_secs(60));
        assert_eq!(clock.jumped(now), None);
        clock.ticked(now, -3_594_000);
        assert_eq!(clock.jumped(now), Some(-3_599_900));
        assert_eq!(clock.jumped(now.after(RECENT)), None);
    }
}
