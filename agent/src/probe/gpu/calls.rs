//! Every call that is made of a GPU, and how often.

pub(super) mod activity;
mod fast;
mod once;
mod slow;

use station_proto::gpu::Gpu;

use super::Code;
use super::card::Card;

/// How often a call is made. What a call costs was measured on an H100 (driver 580): most take 1 to
/// 10 us, those that ask the GPU's firmware 130 to 760 us, energy 3 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// When the GPU is opened.
    Once,
    /// In every round.
    Fast,
    /// In every third round: on desktop GPUs the list of processes takes 4.5 ms.
    Processes,
    /// In every sixth round.
    Slow,
}

impl Pace {
    /// Whether it is its turn in the round with this number, counted from 0.
    pub(super) fn is_due(self, round: u64) -> bool {
        match self {
            Self::Once => round == 0,
            Self::Fast => true,
            Self::Processes => round.is_multiple_of(3),
            Self::Slow => round.is_multiple_of(6),
        }
    }
}

/// A call: it writes what it finds into its own fields of the GPU, and takes out what was there
/// before if it fails.
pub(super) struct Call {
    /// The function of the library.
    pub name: &'static str,
    pub pace: Pace,
    pub run: fn(Card<'_>, &mut Gpu) -> Result<(), Code>,
}

/// All calls, in the order in which they are made: who it is comes first.
pub(super) fn all() -> impl Iterator<Item = &'static Call> {
    once::CALLS.iter().chain(fast::CALLS).chain(slow::CALLS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_call_is_listed_twice() {
        let names: Vec<&str> = all().map(|call| call.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }

    #[test]
    fn the_first_round_makes_every_call() {
        for pace in [Pace::Once, Pace::Fast, Pace::Processes, Pace::Slow] {
            assert!(pace.is_due(0));
        }
        let due = |round| [Pace::Once, Pace::Processes, Pace::Slow].map(|pace| pace.is_due(round));
        assert_eq!(due(1), [false, false, false]);
        assert_eq!(due(3), [false, true, false]);
        assert_eq!(due(6), [false, true, true]);
    }
}
