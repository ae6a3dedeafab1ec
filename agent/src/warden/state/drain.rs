//! Pure: orders, and the way to an end that was asked for.

use std::time::Duration;

use super::{Drain, Effect, LOOK, Places, Stage, State};
use crate::warden::files::Order;
use crate::warden::ground::unmount::Unmounted;

impl State {
    pub(super) fn order(&mut self, now: Duration, order: &Order) -> Vec<Effect> {
        let drain = |limit_ms: u64, leave| Drain {
            since: now,
            until: now + Duration::from_millis(limit_ms),
            leave,
            busy: None,
        };
        match *order {
            Order::Drain { limit_ms } => self.drain = Some(drain(limit_ms, false)),
            Order::Stop { limit_ms } => self.drain = Some(drain(limit_ms, true)),
            Order::Mount => {
                self.drain = None;
                return if self.stage == Stage::Down { self.prepare() } else { Vec::new() };
            }
            Order::Restart if self.stage == Stage::Up => {
                self.attempts = 0;
                return self.lost(now, "a restart was asked for".to_owned());
            }
            Order::Restart => {
                // No pause any more, whatever went wrong before.
                self.attempts = 0;
                let rests = matches!(self.stage, Stage::Resting { .. } | Stage::Down);
                return if rests { self.prepare() } else { Vec::new() };
            }
        }
        match self.stage {
            Stage::Down => self.down(),
            Stage::Up => vec![Effect::Measure],
            _ => Vec::new(),
        }
    }

    /// Unmounts if that was asked for and nothing is pending any more; gives up when the time is over
    /// and this process must end.
    pub(super) fn drained(&mut self, now: Duration) -> Vec<Effect> {
        let Some(drain) = self.drain else { return Vec::new() };
        if self.stage != Stage::Up {
            return Vec::new();
        }
        let fresh = self.figures.as_ref().filter(|figures| figures.at >= drain.since);
        let rests = drain.busy.is_some_and(|tried| now.saturating_sub(tried) < LOOK);
        let done = fresh.map(|figures| figures.pending.as_ref().is_none_or(|all| all.files == 0));
        if !rests && done == Some(true) {
            self.stage = Stage::Unmounting;
            return vec![Effect::Unmount];
        }
        if now >= drain.until && drain.leave {
            // What is pending stays in the cache, and the next warden saves it.
            self.stage = Stage::Unmounting;
            return Self::break_off(self.minor);
        }
        Vec::new()
    }

    pub(super) fn unmounted(&mut self, now: Duration, how: &Unmounted) -> Vec<Effect> {
        match how {
            Unmounted::Done => {
                if let Some(at) = self.places.place.iter().position(|one| *one == self.minor) {
                    self.places.place.remove(at);
                }
                self.minor = None;
                if self.has_driver && self.pid.is_some() { Vec::new() } else { self.down() }
            }
            Unmounted::Busy | Unmounted::Failed(_) => {
                let over = self.drain.is_some_and(|drain| drain.leave && now >= drain.until);
                if over {
                    return Self::break_off(self.minor);
                }
                self.stage = Stage::Up;
                if let Some(drain) = &mut self.drain {
                    drain.busy = Some(now);
                }
                Vec::new()
            }
        }
    }

    pub(super) fn down(&mut self) -> Vec<Effect> {
        self.stage = Stage::Down;
        self.minor = None;
        self.lost_at = None;
        let mut effects = vec![Effect::Peel; self.places.place.len()];
        self.places = Places::default();
        match self.drain {
            Some(drain) if drain.leave => effects.push(Effect::Leave),
            // Mounted again meanwhile.
            None => effects.extend(self.prepare()),
            Some(_) => {}
        }
        effects
    }
}
