//! How well the kernel's clock is kept: `adjtimex(2)`, which anybody may call to look.

use nix::libc;
use serde::{Deserialize, Serialize};

/// What the kernel says of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Nothing keeps the clock (`STA_UNSYNC`).
    pub unsynchronized: bool,
    /// How wrong it may be at most, in microseconds (`maxerror`); 16 s is the kernel's "unknown".
    pub maximum_error_us: i64,
}

/// In tests, what [`kept`] says: `STATUS MAXERROR [STEP]`, with a step of the wall clock in ms.
const STAND_IN: &str = "adjtimex";

/// `None` where it may not be asked, as in some containers.
pub fn kept() -> Option<Kept> {
    if let Some(text) = super::stand_in(STAND_IN) {
        let mut numbers = text.split_whitespace().map_while(|word| word.parse::<i64>().ok());
        let (status, error) = (numbers.next()?, numbers.next()?);
        return Some(seen(i32::try_from(status).ok()?, error));
    }
    // SAFETY: all zeros is a valid `timex`: it is made of numbers alone.
    #[expect(unsafe_code, reason = "neither nix nor rustix has this call")]
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // `modes` is zero: it only looks.
    // SAFETY: the pointer is that of a live `timex`, which the call fills.
    #[expect(unsafe_code, reason = "neither nix nor rustix has this call")]
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then(|| seen(timex.status, timex.maxerror))
}

fn seen(status: i32, maximum_error_us: i64) -> Kept {
    Kept { unsynchronized: status & libc::STA_UNSYNC != 0, maximum_error_us }
}

/// In tests, how far the wall clock has been put forward, in ms.
pub fn stepped_ms() -> i64 {
    let text = super::stand_in(STAND_IN).unwrap_or_default();
    text.split_whitespace().nth(2).and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_clock_or_does_not_say() {
        if let Some(kept) = kept() {
            assert!(kept.maximum_error_us >= 0, "{kept:?}");
        }
        assert!(seen(libc::STA_UNSYNC | 1, 16_000_000).unsynchronized);
        assert!(!seen(libc::STA_PLL, 1500).unsynchronized);
        assert_eq!(stepped_ms(), 0);
    }
}
