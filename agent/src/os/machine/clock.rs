//! How well the kernel's clock is kept: `adjtimex(2)`, which anybody may call to look.

use nix::libc;
use serde::{Deserialize, Serialize};

/// What the kernel says of its clock.
///
/// The flag `STA_UNSYNC` is not looked at: chrony leaves it set to keep the kernel's hands off the
/// hardware clock, and systemd goes by the error alone too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How wrong it may be at most (`maxerror`), in microseconds.
    pub maximum_error_us: i64,
}

impl Kept {
    /// What the kernel says when it does not know (`NTP_PHASE_LIMIT`), 16 s.
    pub const UNKNOWN_US: i64 = 16_000_000;

    /// Nothing keeps the clock.
    pub fn is_lost(self) -> bool {
        self.maximum_error_us >= Self::UNKNOWN_US
    }
}

/// In tests, what [`kept`] says: `MAXERROR [STEP]`, with a step of the wall clock in ms.
const STAND_IN: &str = "adjtimex";

/// `None` where it may not be asked, as in some containers.
pub fn kept() -> Option<Kept> {
    if let Some(text) = super::stand_in(STAND_IN) {
        let maximum_error_us = text.split_whitespace().next()?.parse().ok()?;
        return Some(Kept { maximum_error_us });
    }
    // SAFETY: all zeros is a valid `timex`: it is made of numbers alone.
    #[expect(unsafe_code, reason = "neither nix nor rustix has this call")]
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // `modes` is zero: it only looks.
    // SAFETY: the pointer is that of a live `timex`, which the call fills.
    #[expect(unsafe_code, reason = "neither nix nor rustix has this call")]
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some(Kept { maximum_error_us: timex.maxerror })
}

/// In tests, how far the wall clock has been put forward, in ms.
pub fn stepped_ms() -> i64 {
    let text = super::stand_in(STAND_IN).unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_clock_or_does_not_say() {
        if let Some(kept) = kept() {
            assert!(kept.maximum_error_us >= 0, "{kept:?}");
        }
        assert!(Kept { maximum_error_us: 16_000_000 }.is_lost());
        assert!(!Kept { maximum_error_us: 1500 }.is_lost());
        assert_eq!(stepped_ms(), 0);
    }
}
