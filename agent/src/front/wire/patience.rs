//! How long a quiet client is waited for. Pure: it is told what was seen at each tick.
//!
//! One coarse tick a connection instead of a timer a request keeps clocks and timers off the hot
//! path. The limits are therefore kept to within one tick.

use crate::front::wire::framing::Phase;

/// Limits, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a request head to be complete.
    pub head: u32,
    /// Between two requests.
    pub idle: u32,
    /// For the next byte of a request body.
    pub stall: u32,
}

/// What a connection looks like at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub phase: Phase,
    /// Complete heads so far.
    pub heads: u32,
    /// Changes with every read.
    pub reads: u32,
    /// A request is being answered.
    pub answering: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    /// Nothing is lost by a close.
    Retire,
    /// The client is too slow: the connection is cut.
    Cut,
}

/// Counts the ticks without progress.
#[derive(Debug, Default)]
pub struct Patience {
    last: Option<Seen>,
    quiet: u32,
}

impl Patience {
    pub fn tick(&mut self, seen: Seen, limits: Limits) -> Verdict {
        let waits = waits_for(seen);
        let progress = self.last.is_none_or(|last| match waits {
            WaitsFor::Head => last.heads != seen.heads || waits_for(last) != WaitsFor::Head,
            WaitsFor::Body => last.reads != seen.reads || waits_for(last) != WaitsFor::Body,
            WaitsFor::Request => last.heads != seen.heads || waits_for(last) != WaitsFor::Request,
            WaitsFor::Us => true,
        });
        self.last = Some(seen);
        self.quiet = if progress { 0 } else { self.quiet + 1 };
        match waits {
            WaitsFor::Head if self.quiet >= limits.head => Verdict::Cut,
            WaitsFor::Body if self.quiet >= limits.stall => Verdict::Cut,
            WaitsFor::Request if self.quiet >= limits.idle => Verdict::Retire,
            _ => Verdict::Wait,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    Head,
    Body,
    Request,
    Us,
}

fn waits_for(seen: Seen) -> WaitsFor {
    match seen.phase {
        Phase::Body => WaitsFor::Body,
        _ if seen.answering => WaitsFor::Us,
        Phase::Head => WaitsFor::Head,
        // A connection that never sent a request is not an idle one.
        Phase::Idle if seen.heads == 0 => WaitsFor::Head,
        Phase::Idle => WaitsFor::Request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 2, idle: 4, stall: 6 };

    fn seen(phase: Phase, heads: u32, reads: u32, answering: bool) -> Seen {
        Seen { phase, heads, reads, answering }
    }

    fn ticks(seen: impl Fn(u32) -> Seen) -> (u32, Verdict) {
        let mut patience = Patience::default();
        (0..100)
            .map(|n| (n, patience.tick(seen(n), LIMITS)))
            .find(|(_, verdict)| *verdict != Verdict::Wait)
            .unwrap_or((100, Verdict::Wait))
    }

    #[test]
    fn a_slow_head_is_cut_although_bytes_come() {
        assert_eq!(ticks(|n| seen(Phase::Head, 3, n, false)), (2, Verdict::Cut));
        assert_eq!(ticks(|_| seen(Phase::Idle, 0, 0, false)), (2, Verdict::Cut));
    }

    #[test]
    fn an_idle_connection_is_retired() {
        assert_eq!(ticks(|_| seen(Phase::Idle, 1, 1, false)), (4, Verdict::Retire));
    }

    #[test]
    fn a_body_may_take_for_ever_but_not_stall() {
        assert_eq!(ticks(|n| seen(Phase::Body, 1, n, true)).1, Verdict::Wait);
        assert_eq!(ticks(|_| seen(Phase::Body, 1, 1, true)), (6, Verdict::Cut));
    }

    #[test]
    fn an_answer_may_take_for_ever() {
        assert_eq!(ticks(|_| seen(Phase::Idle, 1, 1, true)).1, Verdict::Wait);
        assert_eq!(ticks(|n| seen(Phase::Idle, n, n, false)).1, Verdict::Wait);
    }
}
