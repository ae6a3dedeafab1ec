//! Pure: when what an earlier driver has left, or what could not be uploaded, is brought to the share.

use std::time::Duration;

use super::{Effect, Reach, Stage, State};
use crate::base::backoff;

/// Between two tries, the first time and at most.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(in crate::warden) struct Bring {
    /// Whether the driver leaves anything that it does not take up by itself.
    pub(in crate::warden) needed: bool,
    under_way: bool,
    /// Tries in a row that did not bring everything.
    failed: u32,
    not_before: Duration,
}

impl State {
    /// One at a time, while the share is up and something is pending.
    pub(super) fn brings(&mut self, now: Duration) -> Option<Effect> {
        let pending = self.figures.as_ref().and_then(|figures| figures.pending.as_ref());
        let wanted = self.bring.needed
            && !self.bring.under_way
            && now >= self.bring.not_before
            && self.stage == Stage::Up
            && !matches!(self.reach, Some(Reach::Silent(_)))
            && pending.is_some_and(|pending| pending.files > 0);
        self.bring.under_way |= wanted;
        wanted.then_some(Effect::Bring)
    }

    pub(super) fn brought(&mut self, now: Duration, all: bool) -> Vec<Effect> {
        let bring = &mut self.bring;
        bring.under_way = false;
        bring.failed = if all { 0 } else { bring.failed.saturating_add(1) };
        bring.not_before = now + backoff::delay(AGAIN, AGAIN_MAX, bring.failed, 0.5);
        vec![Effect::Measure]
    }
}
