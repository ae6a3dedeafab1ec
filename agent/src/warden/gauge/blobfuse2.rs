//! What of blobfuse2's has not reached the share: what an earlier driver left and nobody has compared yet, and
//! what failed to be uploaded. All else was uploaded before its `close()` returned.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use jiff::Timestamp;
use station_proto::mount::{Pending, PendingFile};
use station_proto::time::Time;

use super::{Figures, LISTED, writes};
use crate::warden::files::Launch;
use crate::warden::rescue::blobfuse2::{self, Folders, judge::Local};

#[derive(Debug, Default)]
pub(super) struct Scanner {
    driver: Option<i32>,
    /// Files whose upload failed since the driver started: it never closes those.
    failed: HashSet<u64>,
}

impl Scanner {
    pub(super) fn look(
        &mut self,
        launch: &Launch,
        driver: Option<i32>,
        (now, figures): (Timestamp, &mut Figures),
    ) {
        if self.driver != driver {
            *self = Self { driver, failed: HashSet::new() };
        }
        let folders = Folders::of(&launch.cache);
        let (Ok(failed), Ok(left)) = (blobfuse2::failed(&folders), blobfuse2::files(&folders.left))
        else {
            // Not known, which is not the same as nothing.
            return;
        };
        self.failed.extend(failed.iter().map(|one| one.inode));
        let mut all: Vec<(PathBuf, Local)> = Vec::new();
        all.extend(failed.iter().map(|one| (one.path.clone(), one.local)));
        for path in left {
            if let Ok(meta) = fs::symlink_metadata(&path) {
                all.push((folders.below(&path), blobfuse2::local(&meta)));
            }
        }
        all.sort_by_key(|(_, local)| local.modified);
        let at = |local: &Local| Timestamp::from_nanosecond(local.modified).unwrap_or_default();
        let oldest = all.first().map(|(_, local)| now.duration_since(at(local)).as_millis());
        figures.pending = Some(Pending {
            files: count(all.len()),
            bytes: all.iter().map(|(_, local)| local.size).sum(),
            oldest_ms: oldest.and_then(|oldest| u64::try_from(oldest).ok()),
            errored: count(failed.len()),
        });
        figures.files = all
            .into_iter()
            .take(LISTED)
            .map(|(path, local)| PendingFile {
                path: path.display().to_string(),
                bytes: local.size,
                at: Time(at(&local)),
            })
            .collect();
        figures.open_files = driver.and_then(|pid| self.open(pid, &folders));
    }

    /// Files that the driver has open for writing, but for those that it forgot to close.
    fn open(&self, pid: i32, folders: &Folders) -> Option<u64> {
        let mut count = 0;
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
            let inside = fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(&folders.now));
            let forgotten =
                || fs::metadata(entry.path()).is_ok_and(|meta| self.failed.contains(&meta.ino()));
            if inside && writes(pid, &entry.file_name().to_string_lossy()) && !forgotten() {
                count += 1;
            }
        }
        Some(count)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
