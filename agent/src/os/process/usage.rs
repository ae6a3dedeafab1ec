//! What this process itself takes, asked in the cheapest way: whoever scrapes asks it each time.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// What could not be found out is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a CPU, of all threads, ended ones too.
    pub cpu: Option<Duration>,
    pub resident_bytes: Option<u64>,
}

/// The usage of this moment.
pub fn own() -> Usage {
    let time = getrusage(UsageWho::RUSAGE_SELF).ok();
    let time =
        time.and_then(|one| duration(one.user_time())?.checked_add(duration(one.system_time())?));
    // The second number of `proc_pid_statm(5)`, in pages; the whole `stat` takes several times as long.
    let statm = fs::read_to_string("/proc/self/statm").ok();
    let pages = statm.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    let page = u64::try_from(rustix::param::page_size()).unwrap_or_default();
    Usage { cpu: time, resident_bytes: pages.map(|pages| pages.saturating_mul(page)) }
}

fn duration(time: TimeVal) -> Option<Duration> {
    let micros = u32::try_from(time.tv_usec()).ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec()).ok()?, micros.saturating_mul(1000)))
}

/// Open descriptors of this process.
pub fn open_files() -> Option<u64> {
    // Since Linux 6.2 the folder's size is their number; before, it is 0, and they are counted.
    let size = fs::metadata("/proc/self/fd").ok()?.size();
    let count = || u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok();
    if size > 0 { Some(size) } else { count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_time_memory_and_descriptors() {
        let usage = own();
        assert!(usage.cpu.is_some_and(|cpu| cpu > Duration::ZERO), "{usage:?}");
        assert!(usage.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{usage:?}");
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let with = open_files().unwrap();
        assert!(with >= 50, "{with}");
        drop(held);
    }
}
