//! What this process itself takes, under the names that every program uses:
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::family::{Figure, counter, gauge};
use super::host::whole;
use crate::os::process::{self, Stat};

/// Ticks in a second, of `/proc` on every machine with Linux.
const TICKS: f64 = 100.0;

/// stationd's main process.
#[derive(Debug)]
pub(super) struct Process;

/// What `/proc` says of it now.
struct Figures {
    stat: Option<Stat>,
    /// Bytes.
    page: u64,
    open_files: Option<usize>,
    max_files: u64,
}

const PROCESS: &[Figure<Figures>] = &[
    counter("process_cpu", Some("seconds"), "Time on a CPU", |one| {
        one.stat.map(|stat| whole(stat.cpu_ticks) / TICKS)
    }),
    gauge("process_resident_memory", Some("bytes"), "Memory of the process", |one| {
        one.stat.map(|stat| whole(stat.resident_pages.saturating_mul(one.page)))
    }),
    gauge("process_open_fds", None, "Open file descriptors", |one| {
        one.open_files.and_then(|count| u64::try_from(count).ok()).map(whole)
    }),
    gauge("process_max_fds", None, "File descriptors that may be open", |one| {
        Some(whole(one.max_files))
    }),
];

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let figures = Figures {
            stat: Stat::read(nix::unistd::getpid().as_raw()),
            page: rustix::param::page_size() as u64,
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
            max_files: process::file_limit(),
        };
        for figure in PROCESS {
            figure.encode(std::iter::once((Vec::new(), &figures)), &mut encoder)?;
        }
        Ok(())
    }
}
