//! Asks the kernel for the cheap figures: files of `/proc`, which never hang.

use station_proto::node::{Cpu, Pressure, Samples};
use station_proto::time::Time;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

use super::pressure::{self, Share};
use super::state::{Fast, Stalls};
use crate::base::moment::Moment;
use crate::os::machine::{self, clock};

/// No file of this kind is larger.
const FILE: u64 = 256 * 1024;

/// Keeps what is needed to measure the CPU between two samples.
pub(super) struct Sampler {
    /// Absent if the kernel's figures cannot be read at all.
    system: Option<System>,
}

impl Sampler {
    pub(super) fn new() -> Self {
        let what = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage());
        Self { system: System::new_with_specifics(what).ok() }
    }

    /// The figures of `now`; disks and stationd's own are put in by the caller.
    pub(super) fn sample(&mut self, now: Moment) -> (Samples, Fast) {
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
        }
        let text = |file: &str| machine::text(file, FILE).unwrap_or_default();
        let memory = pressure::memory(&text("/proc/meminfo"));
        let stalls = stalls();
        let samples = Samples {
            at: Time(now.wall),
            cpu: self.system.as_ref().map(|system| Cpu {
                cores: cores(),
                used_percent: tenth(f64::from(system.global_cpu_usage())),
            }),
            load: pressure::load(&text("/proc/loadavg")),
            memory: memory.clone(),
            pressure: stalls.map(shown),
            os_disk: None,
            disks: Vec::new(),
            agent: None,
            gpus: Vec::new(),
            mounts: Vec::new(),
        };
        let kills = pressure::kills(&text("/proc/vmstat"));
        (samples, Fast { memory, stalls, kills, stepped_ms: clock::stepped_ms() })
    }
}

/// Cores that this process may use: affinity counts, and a cgroup quota.
fn cores() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|cores| u32::try_from(cores.get()).ok())
        .unwrap_or(1)
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn stalls() -> Option<Stalls> {
    let read = |what: &str| machine::text(&format!("/proc/pressure/{what}"), FILE);
    let (cpu, memory, io) = (read("cpu")?, read("memory")?, read("io")?);
    Some(Stalls {
        cpu_some: pressure::share(&cpu, "some")?,
        memory_some: pressure::share(&memory, "some")?,
        memory_full: pressure::share(&memory, "full")?,
        io_some: pressure::share(&io, "some")?,
        io_full: pressure::share(&io, "full")?,
    })
}

fn shown(stalls: Stalls) -> Pressure {
    let ten = |share: Share| share.ten_s;
    Pressure {
        cpu_some_percent: ten(stalls.cpu_some),
        memory_some_percent: ten(stalls.memory_some),
        memory_full_percent: ten(stalls.memory_full),
        io_some_percent: ten(stalls.io_some),
        io_full_percent: ten(stalls.io_full),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    #[test]
    fn this_machine_has_memory_and_a_core() {
        let (samples, fast) = Sampler::new().sample(clock::now());
        assert!(samples.memory.is_some_and(|m| m.total_mib > 0 && m.available_mib <= m.total_mib));
        assert!(samples.load.is_some() && fast.kills.is_some());
        assert!(
            samples.cpu.is_some_and(|c| c.cores > 0 && (0.0..=100.0).contains(&c.used_percent))
        );
    }
}
