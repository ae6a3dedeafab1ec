//! Which processes with a GPU sleep in the kernel where no signal wakes them (state `D`), from `/proc`.
//!
//! Only files are read that the kernel answers without a lock of that process: `cmdline` and `environ`, for
//! two, wait for the very thing that a stuck process may hold.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{Uid, User};

use super::stuck::{self, Asleep};
use crate::os::machine;

/// Between two looks through all processes for those that hold a device file of a GPU.
const WALK: Duration = Duration::from_secs(30);
/// Of one process, and of the machine: more are not looked at.
const THREADS: usize = 256;
const PROCESSES: usize = 32_768;
/// No file of this kind is larger.
const FILE: u64 = 16 * 1024;

/// Looks, and remembers who was found by a walk.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    walked: Option<Duration>,
    holders: BTreeSet<i32>,
}

impl Sleepers {
    /// Of `listed`, the processes that the driver named, and of those that hold a GPU's file.
    pub(super) fn look(&mut self, now: Duration, listed: &BTreeSet<i32>) -> Vec<Asleep> {
        if self.walked.is_none_or(|last| now.saturating_sub(last) >= WALK) {
            self.walked = Some(now);
            self.holders = asleep_holders();
        }
        listed.union(&self.holders).flat_map(|pid| threads(*pid)).collect()
    }
}

/// Processes that sleep so just now and hold a file of a GPU, as far as their files may be seen.
fn asleep_holders() -> BTreeSet<i32> {
    let Ok(all) = fs::read_dir(machine::path("/proc")) else { return BTreeSet::new() };
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.take(PROCESSES).filter(|pid| is_asleep(*pid) && holds_gpu(*pid)).collect()
}

/// The first thread alone: that is one file for each process of the machine.
fn is_asleep(pid: i32) -> bool {
    machine::text(&format!("/proc/{pid}/stat"), FILE).is_some_and(|stat| stuck::is_asleep(&stat))
}

fn holds_gpu(pid: i32) -> bool {
    let Ok(files) = fs::read_dir(machine::path(&format!("/proc/{pid}/fd"))) else { return false };
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
    let of_gpu = |path: &Path| path.to_str().is_some_and(|path| path.starts_with("/dev/nvidia"));
    files.flatten().filter_map(target).any(|path| of_gpu(&path))
}

fn threads(pid: i32) -> Vec<Asleep> {
    let place = machine::path(&format!("/proc/{pid}/task"));
    let Ok(all) = fs::read_dir(&place) else { return Vec::new() };
    let owner = || {
        let uid = fs::metadata(machine::path(&format!("/proc/{pid}"))).ok()?.uid();
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        Some(user.map_or_else(|| uid.to_string(), |user| user.name))
    };
    let tids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let looked = tids.take(THREADS).filter_map(|tid| {
        let text = |file: &str| machine::text(&format!("/proc/{pid}/task/{tid}/{file}"), FILE);
        let one = stuck::asleep((pid, tid), &text("stat")?, &text("status")?)?;
        // Where it may not be known it reads `0`.
        let inside = text("wchan").unwrap_or_default();
        stuck::may_be_driver(&inside).then_some(one)
    });
    looked.map(|one| Asleep { user: owner().unwrap_or_default(), ..one }).collect()
}
