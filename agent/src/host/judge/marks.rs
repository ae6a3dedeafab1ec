//! Pure: from which figure on something is wrong, and from which on it is well again. Between the two
//! what was said holds on.

use station_proto::node::{Agent, Memory};

use crate::host::state::Stalls;
use crate::host::state::held::Held;

/// Shares of time in which every task waited for memory, in percent: over ten seconds and over a minute
/// to set, over a minute to clear.
const STALL_TEN: f64 = 20.0;
const STALL_MINUTE: f64 = 10.0;
const STALL_CLEAR: f64 = 5.0;
/// Too little is left: this share of it all, or this much if that is less.
const LEFT_PERCENT: u64 = 5;
const LEFT_MIB: u64 = 1024;
/// Shares of a minute in which some task waited for a core.
const CPU_SET: f64 = 80.0;
const CPU_CLEAR: f64 = 60.0;
/// Shares of a minute in which every task waited for a disk.
const IO_SET: f64 = 40.0;
const IO_CLEAR: f64 = 20.0;
/// How late one timer in a hundred is, in ms.
const LATE_SET: u64 = 250;
const LATE_CLEAR: u64 = 150;

pub(in crate::host) fn memory(held: &mut Held, memory: Option<&Memory>, stalls: Option<&Stalls>) {
    if memory.is_none() && stalls.is_none() {
        return held.forget();
    }
    let full = stalls.map(|stalls| stalls.memory_full).unwrap_or_default();
    let least = memory.map_or(0, |memory| (memory.total_mib * LEFT_PERCENT / 100).min(LEFT_MIB));
    let left = memory.map(|memory| memory.available_mib);
    let stalled = full.ten_s >= STALL_TEN && full.minute >= STALL_MINUTE;
    let sets = if let Some(left) = left.filter(|left| *left < least) {
        Some(("MemoryLow", format!("{left} MiB are left for new work")))
    } else if stalled {
        let share = format!("{:.0} % of the last minute", full.minute);
        Some(("Stalled", format!("for {share} everything that could run waited for memory")))
    } else {
        None
    };
    let clears = full.minute < STALL_CLEAR && left.is_none_or(|left| left >= least * 3 / 2);
    // Low memory that is low no longer may still stall, and the other way round: the first word stays.
    let sets = if held.0.is_some() && !clears { None } else { sets };
    held.judge(sets, clears);
}

pub(in crate::host) fn cpu(held: &mut Held, stalls: Option<&Stalls>) {
    let Some(some) = stalls.map(|stalls| stalls.cpu_some) else { return held.forget() };
    let message =
        || format!("for {:.0} % of the last minute something waited for a core", some.minute);
    let sets = (some.minute >= CPU_SET).then(|| ("CoresBusy", message()));
    held.judge(sets, some.minute < CPU_CLEAR);
}

pub(in crate::host) fn io(held: &mut Held, stalls: Option<&Stalls>) {
    let Some(full) = stalls.map(|stalls| stalls.io_full) else { return held.forget() };
    let share = || format!("{:.0} % of the last minute", full.minute);
    let message = || format!("for {} everything that could run waited for a disk", share());
    let sets = (full.minute >= IO_SET).then(|| ("DisksBusy", message()));
    held.judge(sets, full.minute < IO_CLEAR);
}

pub(in crate::host) fn agent(held: &mut Held, agent: Option<&Agent>) {
    let Some(late) = agent.map(|agent| agent.late_p99_ms) else { return held.forget() };
    let message = || format!("one in a hundred of its timers is {late} ms late or more");
    let sets = (late > LATE_SET).then(|| ("TimersLate", message()));
    held.judge(sets, late < LATE_CLEAR);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pressure::Share;

    fn share(ten_s: f64, minute: f64) -> Share {
        Share { ten_s, minute }
    }

    fn left(available_mib: u64) -> Memory {
        Memory { total_mib: 16_000, available_mib, swap_total_mib: 0, swap_free_mib: 0 }
    }

    fn reason(held: &Held) -> Option<&'static str> {
        held.0.as_ref().map(|(reason, _)| *reason)
    }

    #[test]
    fn memory_is_short_when_little_is_left_or_everything_waits() {
        let table: &[(u64, Share, Option<&str>)] = &[
            (8000, share(0.0, 0.0), None),
            (900, share(0.0, 0.0), None),
            (700, share(0.0, 0.0), Some("MemoryLow")),
            // Above the mark that set it, and not yet well.
            (900, share(0.0, 0.0), Some("MemoryLow")),
            (1300, share(0.0, 0.0), None),
            // A short stall is none.
            (8000, share(90.0, 5.0), None),
            (8000, share(30.0, 12.0), Some("Stalled")),
            (8000, share(0.0, 8.0), Some("Stalled")),
            (8000, share(0.0, 2.0), None),
        ];
        let mut held = Held::default();
        for (available, full, expected) in table {
            let stalls = Stalls { memory_full: *full, ..Stalls::default() };
            memory(&mut held, Some(&left(*available)), Some(&stalls));
            assert_eq!(reason(&held), *expected, "{available} {full:?}");
        }
        // A kernel without PSI; a machine that tells nothing.
        memory(&mut held, Some(&left(100)), None);
        assert_eq!(reason(&held), Some("MemoryLow"));
        memory(&mut held, None, None);
        assert_eq!(reason(&held), None);
    }

    #[test]
    fn cores_and_disks_are_busy_for_a_minute_and_stationd_is_late() {
        let mut held = Held::default();
        for (minute, expected) in [(70.0, false), (85.0, true), (70.0, true), (50.0, false)] {
            let stalls = Stalls { cpu_some: share(99.0, minute), ..Stalls::default() };
            cpu(&mut held, Some(&stalls));
            assert_eq!(reason(&held).is_some(), expected, "{minute}");
        }
        for (minute, expected) in [(30.0, false), (45.0, true), (30.0, true), (10.0, false)] {
            let stalls = Stalls { io_full: share(99.0, minute), ..Stalls::default() };
            io(&mut held, Some(&stalls));
            assert_eq!(reason(&held).is_some(), expected, "{minute}");
        }
        for (late_p99_ms, expected) in [(250, false), (251, true), (200, true), (100, false)] {
            agent(&mut held, Some(&Agent { late_p99_ms, late_max_ms: 9000 }));
            assert_eq!(reason(&held).is_some(), expected, "{late_p99_ms}");
        }
    }
}
