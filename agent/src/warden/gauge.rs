//! How much has not reached the share yet, read from the driver's own cache: exact, and without a word
//! from the driver, so that it holds while that one is dead.

mod blobfuse2;
mod rclone;
mod stranded;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use station_proto::mount::{Pending, PendingFile, Stranded};

use super::driver;
use super::files::{Launch, Source};
use crate::os::clock;
use crate::os::machine::disk;

/// Files that are listed by name.
const LISTED: usize = 100;

/// What a look at the cache and at the driver gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    /// When the look began, on the clock that never steps.
    pub(super) at: Duration,
    /// The same on the wall.
    pub(super) wall: Option<Timestamp>,
    /// `None` where the driver has nothing that could be pending.
    pub(super) pending: Option<Pending>,
    /// The oldest of them.
    pub(super) files: Vec<PendingFile>,
    pub(super) open_files: Option<u64>,
    pub(super) cache_mib: Option<u64>,
    pub(super) cache_free_mib: Option<u64>,
    pub(super) stranded: Vec<Stranded>,
}

/// Looks again and again, and remembers what has not changed.
#[derive(Debug)]
pub(super) struct Gauge {
    rclone: rclone::Scanner,
    blobfuse2: blobfuse2::Scanner,
    stranded: stranded::Scanner,
}

impl Gauge {
    pub(super) fn new(launch: &Launch) -> Self {
        let depth = match &launch.source {
            Source::Rclone(source) => driver::rclone::depth(source),
            _ => 0,
        };
        Self {
            rclone: rclone::Scanner::new(&launch.cache, depth),
            blobfuse2: blobfuse2::Scanner::default(),
            stranded: stranded::Scanner::default(),
        }
    }

    /// Blocking: reads local files only. `mounts` are the ids of all mounts that there were at our place.
    pub(super) fn look(
        &mut self,
        launch: &Launch,
        driver: Option<i32>,
        mounts: &BTreeSet<u64>,
    ) -> Figures {
        let now = clock::now();
        let mut figures = Figures { at: now.mono, wall: Some(now.wall), ..Figures::default() };
        match &launch.source {
            Source::Rclone(_) => self.rclone.look(now.wall, &mut figures),
            Source::Blobfuse2(_) => self.blobfuse2.look(launch, driver, (now.wall, &mut figures)),
            Source::Cifs(_) | Source::Nfs(_) => {}
        }
        if !matches!(launch.source, Source::Blobfuse2(_)) {
            figures.open_files = driver.and_then(|pid| open_for_writing(pid, &launch.cache));
        }
        figures.cache_free_mib =
            disk::space(&launch.cache).ok().map(|space| space.available_bytes >> 20);
        figures.stranded = self.stranded.look(now.mono, mounts);
        figures
    }
}

/// How many files below `folder` a process has open for writing.
fn open_for_writing(pid: i32, folder: &Path) -> Option<u64> {
    let mut count = 0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let inside = std::fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(folder));
        if inside && writes(pid, &entry.file_name().to_string_lossy()) {
            count += 1;
        }
    }
    Some(count)
}

/// `flags:` in `/proc/PID/fdinfo/FD` is octal; its last two bits are the access mode, see open(2).
fn writes(pid: i32, descriptor: &str) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}"));
    let flags = text.ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(line.trim(), 8).ok()
    });
    flags.is_some_and(|flags| flags & 0o3 != 0)
}
