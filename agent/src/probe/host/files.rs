//! Reads the cheap files of the machine; what they mean stands in `mounts`, `network` and `reboot`.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Ask, Files, Network, Reboot, cuda, mounts, network, node, reboot};
use crate::os::machine::{self, clock};

/// No file of this kind is larger.
const FILE: u64 = 1024 * 1024;

pub(super) fn read(ask: &Ask) -> Files {
    let mounts = mounted();
    let of = |path: &Path| mounts.as_ref().and_then(|(text, whole)| mounts::of(text, path, *whole));
    Files {
        clock: clock::kept(),
        mounts: ask.disks.iter().map(|path| of(path)).collect(),
        network: network(),
        reboot: reboot(),
        node_stamp: stamp(node::FILES.iter().map(|file| machine::path(file))),
        cuda_stamp: stamp(cuda::folders(ask.tools.as_deref())),
    }
}

/// The mounts of the machine, and whether their own options count: only as PID 1 sees them.
fn mounted() -> Option<(String, bool)> {
    let read = |file: &str| machine::text(file, FILE).filter(|text| !text.is_empty());
    match read("/proc/1/mountinfo") {
        Some(text) => Some((text, true)),
        None => read("/proc/self/mountinfo").map(|text| (text, false)),
    }
}

/// The network that PID 1 has: our own may be a private one.
fn network() -> Option<Network> {
    let route = machine::text("/proc/1/net/route", FILE)?;
    let route6 = machine::text("/proc/1/net/ipv6_route", FILE).unwrap_or_default();
    let dev = machine::text("/proc/1/net/dev", FILE).unwrap_or_default();
    Some(network::of(&route, &route6, &dev, |device| {
        // In a network of our own it is not there, and a device that is down refuses to tell.
        let carrier = machine::text(&format!("/sys/class/net/{device}/carrier"), 16)?;
        match carrier.trim() {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        }
    }))
}

fn reboot() -> Option<Reboot> {
    let packages = machine::path("/run/reboot-required")
        .exists()
        .then(|| machine::text("/run/reboot-required.pkgs", FILE).unwrap_or_default());
    let running = machine::text("/proc/sys/kernel/osrelease", FILE).unwrap_or_default();
    // What has modules may be booted; a folder without them is a rest.
    let kernels: Vec<String> = fs::read_dir(machine::path("/lib/modules"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("modules.dep").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    reboot::of(packages.as_deref(), running.trim(), &kernels)
}

/// Changes when one of the files does, comes or goes.
fn stamp(files: impl IntoIterator<Item = impl AsRef<Path>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let seen = fs::metadata(file.as_ref());
        let seen = seen.ok().map(|one| (one.ino(), one.size(), one.mtime(), one.mtime_nsec()));
        (file.as_ref(), seen).hash(&mut hasher);
    }
    hasher.finish()
}
