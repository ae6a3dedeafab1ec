//! Asks the kernel for the figures.

use std::path::{Path, PathBuf};

use station_proto::node::{Cpu, Disk, Memory, Pressure, Samples};
use station_proto::time::Time;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::pressure::avg10;
use crate::os::clock;

const MIB: u64 = 1024 * 1024;

/// Keeps what is needed to measure the CPU between two samples.
pub(super) struct Sampler {
    /// Absent if the kernel's figures cannot be read at all.
    system: Option<System>,
    disk: PathBuf,
}

impl Sampler {
    pub(super) fn new(disk: PathBuf) -> Self {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::everything());
        Self { system: System::new_with_specifics(what).ok(), disk }
    }

    pub(super) fn sample(&mut self) -> Samples {
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
        }
        let system = self.system.as_ref();
        Samples {
            at: Time(clock::now().wall),
            cpu: system.map(|system| Cpu {
                cores: cores(),
                used_percent: tenth(f64::from(system.global_cpu_usage())),
            }),
            load: System::load_average().ok().map(|load| [load.one, load.five, load.fifteen]),
            memory: system.map(|system| Memory {
                total_mib: system.total_memory() / MIB,
                available_mib: system.available_memory() / MIB,
                swap_total_mib: system.total_swap() / MIB,
                swap_free_mib: system.free_swap() / MIB,
            }),
            pressure: pressure(),
            os_disk: disk(&self.disk),
            gpus: Vec::new(),
        }
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

fn pressure() -> Option<Pressure> {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/pressure/{what}")).ok();
    let (cpu, memory, io) = (read("cpu")?, read("memory")?, read("io")?);
    Some(Pressure {
        cpu_some_percent: avg10(&cpu, "some")?,
        memory_some_percent: avg10(&memory, "some")?,
        memory_full_percent: avg10(&memory, "full")?,
        io_some_percent: avg10(&io, "some")?,
        io_full_percent: avg10(&io, "full")?,
    })
}

fn disk(path: &Path) -> Option<Disk> {
    let space = nix::sys::statvfs::statvfs(path).ok()?;
    let mib = |blocks: u64| blocks.saturating_mul(space.fragment_size()) / MIB;
    Some(Disk {
        path: path.display().to_string(),
        total_mib: mib(space.blocks()),
        available_mib: mib(space.blocks_available()),
        inodes_total: space.files(),
        inodes_free: space.files_available(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_a_disk_and_a_core() {
        let samples = Sampler::new("/".into()).sample();
        assert!(samples.memory.is_some_and(|m| m.total_mib > 0 && m.available_mib <= m.total_mib));
        assert!(samples.os_disk.is_some_and(|d| d.total_mib >= d.available_mib));
        assert!(
            samples.cpu.is_some_and(|c| c.cores > 0 && (0.0..=100.0).contains(&c.used_percent))
        );
    }
}
