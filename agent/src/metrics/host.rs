//! The machine's figures.

use prometheus_client::encoding::DescriptorEncoder;
use station_proto::node::{Disk, Pressure, Samples};

use super::family::{Figure, gauge};
use super::status::seconds;

const MIB: f64 = 1024.0 * 1024.0;

const MACHINE: &[Figure<Samples>] = &[
    gauge("samples_timestamp", Some("seconds"), "When the machine's figures were taken", |one| {
        Some(seconds(one.at.as_ms()))
    }),
    gauge("cpu_cores", None, "Logical cores that stationd may use", |one| {
        one.cpu.as_ref().map(|cpu| f64::from(cpu.cores))
    }),
    gauge("cpu_used", Some("ratio"), "Busy share of all cores, 0 to 1", |one| {
        one.cpu.as_ref().map(|cpu| cpu.used_percent / 100.0)
    }),
    gauge("load1", None, "Run-queue average over 1 minute", |one| one.load.map(|load| load[0])),
    gauge("load5", None, "Run-queue average over 5 minutes", |one| one.load.map(|load| load[1])),
    gauge("load15", None, "Run-queue average over 15 minutes", |one| one.load.map(|load| load[2])),
    gauge("memory_size", Some("bytes"), "Memory of the machine", |one| {
        one.memory.as_ref().map(|memory| mebibytes(memory.total_mib))
    }),
    gauge("memory_available", Some("bytes"), "Memory that programs can still get", |one| {
        one.memory.as_ref().map(|memory| mebibytes(memory.available_mib))
    }),
    gauge("swap_size", Some("bytes"), "Swap space", |one| {
        one.memory.as_ref().map(|memory| mebibytes(memory.swap_total_mib))
    }),
    gauge(
        "event_loop_late_p99",
        Some("seconds"),
        "How late 99 of 100 of its own timers fired at most, over a minute",
        |one| one.agent.as_ref().map(|agent| whole(agent.late_p99_ms) / 1000.0),
    ),
    gauge("swap_free", Some("bytes"), "Swap space that is free", |one| {
        one.memory.as_ref().map(|memory| mebibytes(memory.swap_free_mib))
    }),
];

/// Of one resource: the share of time in which some, or all, tasks waited.
type Stall = fn(&Pressure) -> f64;

const SOME: [(&str, Stall); 3] = [
    ("cpu", |one| one.cpu_some_percent),
    ("memory", |one| one.memory_some_percent),
    ("io", |one| one.io_some_percent),
];
const FULL: [(&str, Stall); 2] =
    [("memory", |one| one.memory_full_percent), ("io", |one| one.io_full_percent)];

const DISKS: &[Figure<Disk>] = &[
    gauge("filesystem_size", Some("bytes"), "Size of the file system at path", |disk| {
        Some(mebibytes(disk.total_mib))
    }),
    gauge("filesystem_available", Some("bytes"), "What an ordinary user may still write", |disk| {
        Some(mebibytes(disk.available_mib))
    }),
    gauge("filesystem_inodes", None, "Inodes of the file system at path", |disk| {
        Some(whole(disk.inodes_total))
    }),
    gauge("filesystem_inodes_free", None, "Inodes that are free", |disk| {
        Some(whole(disk.inodes_free))
    }),
];

pub(super) fn encode(samples: &Samples, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    for figure in MACHINE {
        figure.encode(std::iter::once((Vec::new(), samples)), encoder)?;
    }
    if let Some(pressure) = &samples.pressure {
        stalls("pressure_some", SOME.as_slice(), pressure, encoder)?;
        stalls("pressure_full", FULL.as_slice(), pressure, encoder)?;
    }
    for figure in DISKS {
        let all = samples.disks.iter().map(|disk| (vec![("path", disk.path.as_str())], disk));
        figure.encode(all, encoder)?;
    }
    Ok(())
}

fn stalls(
    name: &'static str,
    all: &[(&'static str, Stall)],
    pressure: &Pressure,
    encoder: &mut DescriptorEncoder<'_>,
) -> std::fmt::Result {
    let series = all.iter().map(|(of, read)| (vec![("resource", *of)], read(pressure) / 100.0));
    let help = "Share of time, over 10 seconds, in which tasks waited for the resource, 0 to 1";
    let kind = prometheus_client::metrics::MetricType::Gauge;
    super::family::family((name, Some("ratio"), help), kind, series, encoder)
}

pub(super) fn mebibytes(mib: u64) -> f64 {
    whole(mib) * MIB
}

/// As Prometheus has it: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "every value of Prometheus is a float")]
pub(super) fn whole(count: u64) -> f64 {
    count as f64
}
