//! What this process itself takes, under the names that every program uses:
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::family::{Figure, counter, gauge};
use super::host::whole;
use crate::os::process;
use crate::os::process::usage::{self, Usage};

/// stationd's main process.
#[derive(Debug)]
pub(super) struct Process;

/// What `/proc` says of it now.
struct Figures {
    usage: Usage,
    open_files: Option<u64>,
    max_files: u64,
}

const PROCESS: &[Figure<Figures>] = &[
    counter("process_cpu", Some("seconds"), "Time on a CPU", |one| {
        one.usage.cpu.map(|cpu| cpu.as_secs_f64())
    }),
    gauge("process_resident_memory", Some("bytes"), "Memory of the process", |one| {
        one.usage.resident_bytes.map(whole)
    }),
    gauge("process_open_fds", None, "Open file descriptors", |one| one.open_files.map(whole)),
    gauge("process_max_fds", None, "File descriptors that may be open", |one| {
        Some(whole(one.max_files))
    }),
];

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let figures = Figures {
            usage: usage::own(),
            open_files: usage::open_files(),
            max_files: process::file_limit(),
        };
        for figure in PROCESS {
            figure.encode(std::iter::once((Vec::new(), &figures)), &mut encoder)?;
        }
        Ok(())
    }
}
