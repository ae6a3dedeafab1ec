//! A workspace share as a station has it: real Azure Blob Storage calls to Azurite, a real driver, a real FUSE
//! mount; and what tests do to them.

mod azurite;
pub mod blobfuse2;
mod delay;
mod writers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use nix::sys::signal::Signal;
use station_proto::mount::{MountDetail, MountPhase};
use stationd::os::machine::mount::{self, table};
use stationd::os::process::signal;

use crate::process;
use crate::station::Station;

pub use azurite::Azurite;
pub use delay::Delay;
pub use writers::{Writers, lost};

/// What `skip` says where there is none.
pub const MISSING: &str = "mounting needs root, /dev/fuse, rclone and fuse3 (apt-get install rclone fuse3), and \
                           Azurite: scripts/test tests";
/// How long a share may take to come up on a loaded machine.
pub const COMES: Duration = Duration::from_secs(30);

/// Whether shares can be mounted here.
pub fn possible() -> bool {
    let there = |path: &str| Path::new(path).exists();
    nix::unistd::geteuid().is_root()
        && there("/dev/fuse")
        && there("/usr/bin/rclone")
        && there("/usr/bin/fusermount3")
        && azurite::program().is_ok()
}

impl Station {
    /// Where the share `name` is seen.
    pub fn share(&self, name: &str) -> PathBuf {
        self.home().join("mnt").join(name)
    }

    /// What is known of the share.
    pub async fn mount(&self, name: &str) -> Result<MountDetail> {
        let value = self.ctl_json(&["mount", "show", name]).await?;
        Ok(serde_json::from_value(value)?)
    }

    /// Waits until the share is as wanted.
    pub async fn mount_is(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        is: impl Fn(&MountDetail) -> bool,
    ) -> Result<MountDetail> {
        let path = format!("/v1/mounts/{name}");
        let mut last = None;
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < limit {
            let answer = self.admin(Method::GET, &path, "").await?;
            let detail: MountDetail = serde_json::from_slice(answer.body())?;
            if is(&detail) {
                return Ok(detail);
            }
            last = Some(detail);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("{name} is not {what} within {limit:?}: {last:#?}")
    }

    /// Waits until the share can be used, for the `generation`th time at least.
    pub async fn mounted(&self, name: &str, generation: u64) -> Result<MountDetail> {
        let up = |detail: &MountDetail| detail.mount.ready && detail.mount.generation >= generation;
        self.mount_is(name, "mounted", COMES, up).await
    }

    /// Waits until nothing is pending.
    pub async fn delivered(&self, name: &str) -> Result<MountDetail> {
        // What was counted before says nothing of what was written just now.
        let now = stationd::os::clock::now().wall;
        let done = |detail: &MountDetail| {
            let fresh = detail.sample.at.is_some_and(|at| at.0 > now);
            fresh
                && detail.mount.ready
                && detail.sample.pending.as_ref().is_some_and(|all| all.files == 0)
        };
        self.mount_is(name, "delivered", COMES, done).await
    }

    /// The driver of the share.
    pub fn driver(&self, name: &str) -> Result<i32> {
        self.process_of(&format!("mounts/{name}/stage/"), "rclone mount")
    }

    /// The warden of a share.
    pub fn warden(&self) -> Result<i32> {
        self.process_of("warden --dir", "stationd")
    }

    pub(crate) fn process_of(&self, word: &str, program: &str) -> Result<i32> {
        let all = process::of_home_with(&self.home(), word);
        let found = all.into_iter().find(|pid| process::command_line(*pid).contains(program));
        found.with_context(|| format!("no {program} {word} runs"))
    }

    /// `kill -9` of the driver.
    pub fn kill_driver(&self, name: &str) -> Result<()> {
        Ok(signal(self.driver(name)?, Signal::SIGKILL)?)
    }
}

/// The phases in which nobody can work.
pub fn is_away(phase: MountPhase) -> bool {
    !matches!(phase, MountPhase::Ready | MountPhase::Degraded | MountPhase::Draining)
}

/// Takes away everything that is mounted below `folder`, and the guards of the mount points.
pub fn clear(folder: &Path) {
    for _ in 0..10 {
        let table = table::read().unwrap_or_default();
        let mut below: Vec<_> = table.iter().filter(|entry| entry.at.starts_with(folder)).collect();
        if below.is_empty() {
            break;
        }
        // The deepest first.
        below.sort_by_key(|entry| std::cmp::Reverse(entry.at.components().count()));
        for entry in below {
            drop(mount::detach(&entry.at));
        }
    }
    for entry in std::fs::read_dir(folder.join("h/mnt")).into_iter().flatten().flatten() {
        drop(mount::unguard(&entry.path()));
    }
}

/// The mounts at this place, the lowest first.
pub fn layers(place: &Path) -> Result<usize> {
    let table = table::read()?;
    Ok(table::stack(&table, place).len())
}

/// What `stat(2)` of a path gives, again and again for so long: how often it was there, how often an error
/// said that the connection is gone, and how often that there is no such file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Hammered {
    pub there: u64,
    pub disconnected: u64,
    pub missing: u64,
    pub other: u64,
}

/// Asks for `path` on a thread until `stop` is set.
pub fn hammer(
    path: PathBuf,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> std::thread::JoinHandle<Hammered> {
    std::thread::spawn(move || {
        let mut seen = Hammered::default();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            match std::fs::metadata(&path).map_err(|error| error.raw_os_error()) {
                Ok(_) => seen.there += 1,
                Err(Some(nix::libc::ENOTCONN | nix::libc::ECONNABORTED)) => seen.disconnected += 1,
                Err(Some(nix::libc::ENOENT)) => seen.missing += 1,
                Err(_) => seen.other += 1,
            }
        }
        seen
    })
}
