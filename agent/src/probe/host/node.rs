//! What the machine is: its files are read here; `system` and `cloud` say what they mean.

mod cloud;
mod system;

use std::time::Duration;

use jiff::Timestamp;
use station_proto::node::{Hardware, Node};
use station_proto::time::Time;

use crate::os::machine;

/// The files that change while the machine runs: what they say is read again then.
pub(super) const FILES: [&str; 4] =
    [CLOUD, "/etc/os-release", "/proc/sys/kernel/hostname", "/etc/hostname"];

/// What cloud-init lets everybody read; what it holds back stands in another file.
const CLOUD: &str = "/run/cloud-init/instance-data.json";
/// The largest file; cloud-init's is some ten KiB.
const FILE: u64 = 4 * 1024 * 1024;

pub(super) fn read() -> Node {
    let text = |file: &str| machine::text(file, FILE).unwrap_or_default();
    let line = |file: &str| Some(text(file).trim().to_owned()).filter(|text| !text.is_empty());
    let cpuinfo = text("/proc/cpuinfo");
    let os = [text("/etc/os-release"), text("/usr/lib/os-release")];
    Node {
        host_name: line("/proc/sys/kernel/hostname"),
        os: os.iter().find_map(|text| system::os(text)),
        kernel: line("/proc/sys/kernel/osrelease"),
        architecture: Some(std::env::consts::ARCH.to_owned()),
        hardware: Some(Hardware {
            vendor: line("/sys/class/dmi/id/sys_vendor"),
            product: line("/sys/class/dmi/id/product_name"),
            cpu: system::cpu(&cpuinfo),
            virtual_machine: system::has_hypervisor(&cpuinfo),
        })
        .filter(|known| *known != Hardware::default()),
        booted_at: system::boot_time(&text("/proc/stat")).and_then(at),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        cores: system::cores(&text("/sys/devices/system/cpu/online")),
        memory_mib: system::memory_mib(&text("/proc/meminfo")),
        cloud: cloud::of(&text(CLOUD)),
        cuda: None,
    }
}

fn at(since_epoch: Duration) -> Option<Time> {
    Timestamp::from_second(i64::try_from(since_epoch.as_secs()).ok()?).ok().map(Time)
}
