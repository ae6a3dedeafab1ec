//! Pure: which sleeping threads have not moved for so long that they are stuck.
//!
//! A thread that reads a disk sleeps in state `D` too, for milliseconds; seen twice, it may be another time.
//! The kernel counts how often a thread was woken (`proc_pid_status(5)`): as long as that count stands still it
//! is the same sleep.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::moment::Moment;

/// One sleep that goes on for so long has no end of its own.
const STUCK: Duration = Duration::from_secs(30);
/// Processes that are named.
const NAMED: usize = 8;

/// A thread in state `D`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asleep {
    pub pid: i32,
    pub tid: i32,
    /// Tells it from another that got its number.
    pub start_ticks: u64,
    /// How often it was put to sleep or aside.
    pub switches: u64,
    pub command: String,
    pub user: String,
}

/// A process of which a thread is stuck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stuck {
    pub pid: i32,
    pub command: String,
    pub user: String,
    /// Since when it was seen so.
    pub since: Moment,
}

/// The sleeps that go on.
#[derive(Debug, Default)]
pub(super) struct Sleeps(BTreeMap<(i32, i32), (Asleep, Moment)>);

impl Sleeps {
    /// What a look found; whoever is not among it has woken or ended.
    pub(super) fn looked(&mut self, now: Moment, found: Vec<Asleep>) {
        let mut before = std::mem::take(&mut self.0);
        for one in found {
            let place = (one.pid, one.tid);
            let same = before.remove(&place).filter(|(known, _)| *known == one);
            self.0.insert(place, (one, same.map_or(now, |(_, since)| since)));
        }
    }

    /// One for each process, by its longest sleep.
    pub(super) fn stuck(&self, now: Moment) -> Vec<Stuck> {
        let mut all: Vec<Stuck> = Vec::new();
        for (one, since) in self.0.values().filter(|(_, since)| now.since(*since) >= STUCK) {
            match all.iter_mut().find(|known| known.pid == one.pid) {
                Some(known) if since.mono < known.since.mono => known.since = *since,
                Some(_) => {}
                None => all.push(Stuck {
                    pid: one.pid,
                    command: one.command.clone(),
                    user: one.user.clone(),
                    since: *since,
                }),
            }
        }
        all.truncate(NAMED);
        all
    }
}

/// Whether `proc_pid_stat(5)` tells of state `D`.
pub(super) fn is_asleep(stat: &str) -> bool {
    // The name in parentheses may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('D'))
}

/// A thread that sleeps, from its `stat` and `status`.
pub(super) fn asleep((pid, tid): (i32, i32), stat: &str, status: &str) -> Option<Asleep> {
    if !is_asleep(stat) {
        return None;
    }
    let (name, fields) = stat.rsplit_once(") ")?;
    let (_, command) = name.split_once(" (")?;
    let start_ticks = fields.split(' ').nth(19)?.trim().parse().ok()?;
    let count = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line?.trim().parse::<u64>().ok()
    };
    let switches = count("voluntary_ctxt_switches")?
        .saturating_add(count("nonvoluntary_ctxt_switches").unwrap_or_default());
    let (command, user) = (command.to_owned(), String::new());
    Some(Asleep { pid, tid, start_ticks, switches, command, user })
}

/// Whether a sleep in this function of the kernel may be one in the driver; `0` or nothing where it may not be
/// known. Shares and disks have functions of their own.
pub(super) fn may_be_driver(function: &str) -> bool {
    const OTHERS: [&str; 8] =
        ["nfs", "rpc_", "fuse_", "request_wait_answer", "cifs", "folio_", "io_schedule", "blk_"];
    !OTHERS.iter().any(|other| function.trim_start_matches('_').starts_with(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at_ms(1_000_000 + seconds * 1000)
    }

    fn stat(state: char) -> String {
        format!("42 (py) thon) {state} 1 42 42 0 -1 4194304 1 0 0 0 5 5 0 0 20 0 4 0 777 1000 10")
    }

    const STATUS: &str =
        "Name:\tpy) thon\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t7\n";

    #[test]
    fn a_thread_is_read_as_the_kernel_writes_it() {
        let one = asleep((42, 43), &stat('D'), STATUS).unwrap();
        assert_eq!((one.pid, one.tid, one.start_ticks, one.switches), (42, 43, 777, 157));
        assert_eq!(one.command, "py) thon");
        for (stat, status) in [(stat('S'), STATUS), (stat('D'), ""), ("42 (x) D".into(), STATUS)] {
            assert_eq!(asleep((42, 43), &stat, status), None);
        }
    }

    #[test]
    fn one_sleep_that_goes_on_is_stuck_and_many_short_ones_are_not() {
        let thread = |tid, switches| Asleep { pid: 42, tid, switches, ..Asleep::default() };
        let mut sleeps = Sleeps::default();
        for second in [0, 5, 10, 15, 20, 25] {
            sleeps.looked(at(second), vec![thread(42, second), thread(43, 9)]);
            assert_eq!(sleeps.stuck(at(second)), [], "{second}");
        }
        sleeps.looked(at(31), vec![thread(42, 31), thread(43, 9)]);
        let stuck = sleeps.stuck(at(31));
        assert_eq!(stuck.iter().map(|one| (one.pid, one.since)).collect::<Vec<_>>(), [(42, at(0))]);
        // It woke, if only for a moment.
        sleeps.looked(at(36), vec![thread(42, 31), thread(43, 10)]);
        assert_eq!(sleeps.stuck(at(36)), []);
        sleeps.looked(at(40), Vec::new());
        sleeps.looked(at(45), vec![thread(43, 10)]);
        assert_eq!(sleeps.stuck(at(70)), [], "a new sleep has a new beginning");
    }

    #[test]
    fn sleeps_of_shares_and_disks_are_not_the_drivers() {
        for (function, may) in [
            ("0", true),
            ("", true),
            ("os_acquire_rwlock_write", true),
            ("rwsem_down_write_slowpath", true),
            ("nfs4_wait_bit_killable", false),
            ("__fuse_request_send", false),
            ("request_wait_answer", false),
            ("folio_wait_bit_common", false),
        ] {
            assert_eq!(may_be_driver(function), may, "{function}");
        }
    }
}
