//! Pure: reads the kernel's pressure stall information (`/proc/pressure/*`), `/proc/meminfo`,
//! `/proc/vmstat` and `/proc/loadavg`.
//!
//! Formats: <https://docs.kernel.org/accounting/psi.html>, `proc_meminfo(5)`, `proc_vmstat(5)`.

use station_proto::node::Memory;

/// Shares of time, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Share {
    pub ten_s: f64,
    pub minute: f64,
}

/// The line that begins with `kind` (`some` or `full`).
pub(super) fn share(text: &str, kind: &str) -> Option<Share> {
    let line = text.lines().find(|line| line.split(' ').next() == Some(kind))?;
    let field = |key: &str| -> Option<f64> {
        let value: f64 = line.split(' ').find_map(|field| field.strip_prefix(key))?.parse().ok()?;
        (0.0..=100.0).contains(&value).then_some(value)
    };
    Some(Share { ten_s: field("avg10=")?, minute: field("avg60=")? })
}

pub(super) fn memory(meminfo: &str) -> Option<Memory> {
    let mib = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
    };
    Some(Memory {
        total_mib: mib("MemTotal")?,
        available_mib: mib("MemAvailable")?,
        swap_total_mib: mib("SwapTotal").unwrap_or_default(),
        swap_free_mib: mib("SwapFree").unwrap_or_default(),
    })
}

/// Processes that the kernel has killed for want of memory since it was started.
pub(super) fn kills(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Run-queue averages over 1, 5 and 15 minutes.
pub(super) fn load(loadavg: &str) -> Option<[f64; 3]> {
    let mut numbers = loadavg.split(' ').map_while(|word| word.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lines() {
        let text = "some avg10=1.50 avg60=0.75 avg300=0.00 total=1\n\
                    full avg10=0.25 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(share(text, "some"), Some(Share { ten_s: 1.5, minute: 0.75 }));
        assert_eq!(share(text, "full"), Some(Share { ten_s: 0.25, minute: 0.0 }));
        for bad in ["", "some avg60=1.0", "some avg10=x avg60=1", "some avg10=NaN avg60=1.0"] {
            assert_eq!(share(bad, "some"), None, "{bad}");
        }
    }

    #[test]
    fn reads_memory_kills_and_load() {
        let text = "MemTotal:       16384000 kB\nMemFree:  1 kB\nMemAvailable:    8192000 kB\n";
        let expected =
            Memory { total_mib: 16_000, available_mib: 8000, swap_total_mib: 0, swap_free_mib: 0 };
        assert_eq!(memory(text), Some(expected));
        assert_eq!(memory("MemTotal: 1 kB\n"), None);
        assert_eq!(kills("nr_free_pages 1\noom_kill 8\n"), Some(8));
        assert_eq!(kills("oom_kill_x 8\n"), None);
        assert_eq!(load("0.50 0.25 0.10 1/200 4242\n"), Some([0.5, 0.25, 0.1]));
        assert_eq!(load("0.50\n"), None);
    }
}
