//! What rclone has not uploaded yet. Beside each file of its cache it keeps a description (`vfsMeta`), whose
//! `Dirty` is true from the first write until the upload is done (rclone, `vfs/vfscache/item.go`).

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use station_proto::mount::{Pending, PendingFile};
use station_proto::time::Time;

use super::{Figures, LISTED};
use crate::warden::rescue::rclone::{Folders, Meta};

/// What a description was when it was read: it is read again when this has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

#[derive(Debug, Clone)]
struct Seen {
    mark: Mark,
    dirty: bool,
    /// Since when it has been dirty.
    since: Timestamp,
}

#[derive(Debug)]
pub(super) struct Scanner {
    folders: Folders,
    /// Parts of a path that name the remote.
    depth: usize,
    seen: HashMap<PathBuf, Seen>,
}

impl Scanner {
    pub(super) fn new(cache: &Path, depth: usize) -> Self {
        Self { folders: Folders::of(cache), depth, seen: HashMap::new() }
    }

    pub(super) fn look(&mut self, now: Timestamp, figures: &mut Figures) {
        let mut seen = HashMap::with_capacity(self.seen.len());
        let mut folders = vec![self.folders.meta.clone()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                match entry.metadata() {
                    Ok(found) if found.is_dir() => folders.push(entry.path()),
                    Ok(found) if found.is_file() => {
                        let path = entry.path();
                        let one = self.judge(&path, &found, now);
                        seen.insert(path, one);
                    }
                    _ => {}
                }
            }
        }
        self.seen = seen;
        self.count(now, figures);
    }

    fn judge(&self, path: &Path, found: &fs::Metadata, now: Timestamp) -> Seen {
        let mark = Mark {
            inode: found.ino(),
            changed: (found.mtime(), found.mtime_nsec()),
            size: found.size(),
        };
        let before = self.seen.get(path);
        if let Some(same) = before.filter(|seen| seen.mark == mark) {
            return same.clone();
        }
        // One that cannot be read is just being written, or was left half: it counts as not uploaded.
        let dirty = Meta::read(path).is_none_or(|meta| meta.dirty());
        let since = before.filter(|seen| seen.dirty).map_or(now, |seen| seen.since);
        Seen { mark, dirty, since }
    }

    fn count(&self, now: Timestamp, figures: &mut Figures) {
        let mut dirty: Vec<(&PathBuf, Timestamp)> = Vec::new();
        dirty
            .extend(self.seen.iter().filter(|(_, one)| one.dirty).map(|(at, one)| (at, one.since)));
        dirty.sort_by_key(|(_, since)| *since);
        let size = |meta: &Path| {
            let data = self.folders.data_of(meta)?;
            fs::metadata(data).ok().map(|found| found.len())
        };
        let bytes = dirty.iter().filter_map(|(meta, _)| size(meta)).sum();
        let oldest = dirty
            .first()
            .and_then(|(_, since)| u64::try_from(now.duration_since(*since).as_millis()).ok());
        figures.files = dirty
            .iter()
            .take(LISTED)
            .map(|(meta, since)| PendingFile {
                path: self.folders.shown(meta, self.depth),
                bytes: size(meta).unwrap_or_default(),
                at: Time(*since),
            })
            .collect();
        figures.pending = Some(Pending {
            files: u64::try_from(dirty.len()).unwrap_or(u64::MAX),
            bytes,
            oldest_ms: oldest,
            errored: 0,
        });
    }
}
