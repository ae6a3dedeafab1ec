//! Processes whose working directory lies on a mount of ours that is gone: it answers with an error for
//! ever, also when the share is back.
//!
//! Which mount a folder lies on is asked of the kernel by a descriptor that opens nothing (`O_PATH`): the
//! file system is not asked for anything.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use nix::fcntl::OFlag;
use station_proto::mount::Stranded;

use crate::os::machine::mount::table;
use crate::os::process;

/// A look at all processes costs something.
const EVERY: Duration = Duration::from_secs(10);
/// Processes that are listed.
const LISTED: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Scanner {
    looked: Option<Duration>,
    found: Vec<Stranded>,
}

impl Scanner {
    /// `ours` are the ids of all mounts that there were at our place.
    pub(super) fn look(&mut self, now: Duration, ours: &BTreeSet<u64>) -> Vec<Stranded> {
        if self.looked.is_none_or(|looked| now.saturating_sub(looked) >= EVERY) {
            self.looked = Some(now);
            let there: BTreeSet<u64> =
                table::read().unwrap_or_default().iter().map(|entry| entry.id).collect();
            let gone: BTreeSet<u64> = ours.difference(&there).copied().collect();
            let all = if gone.is_empty() { Vec::new() } else { process::all() };
            let stranded =
                all.into_iter().filter(|pid| on(*pid).is_some_and(|id| gone.contains(&id)));
            self.found = stranded
                .take(LISTED)
                .map(|pid| Stranded { pid, command: process::command_line(pid).join(" ") })
                .collect();
        }
        self.found.clone()
    }
}

/// The id of the mount that the working directory of a process lies on.
fn on(pid: i32) -> Option<u64> {
    let flags = (OFlag::O_PATH | OFlag::O_DIRECTORY).bits();
    let cwd = format!("/proc/{pid}/cwd");
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(cwd).ok()?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", folder.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}
