//! What blobfuse2 leaves in its cache. It refuses a cache that is not empty and empties its own at each graceful
//! end, so:
//!
//! ```text
//!   now/                 the driver's; put aside by one rename before each start
//!   left/TIME/           what a driver has left, until the share is seen to have it
//!   failed/INODE         a second name for a file whose upload failed: it outlives whatever the driver does
//!   failed/INODE.json    its path, and when it was written last
//! ```

pub(in crate::warden) mod bring;
pub(in crate::warden) mod judge;

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use self::judge::Local;
use super::RescueError;
use crate::os::{clock, file};

/// No description is larger.
const ENTRY_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Clone)]
pub(in crate::warden) struct Folders {
    pub(in crate::warden) now: PathBuf,
    pub(in crate::warden) left: PathBuf,
    pub(in crate::warden) failed: PathBuf,
}

impl Folders {
    pub(in crate::warden) fn of(cache: &Path) -> Self {
        let [now, left, failed] = ["now", "left", "failed"].map(|name| cache.join(name));
        Self { now, left, failed }
    }

    /// The path below the mount of a file in `left`: without the folder that names its time.
    pub(in crate::warden) fn below(&self, left: &Path) -> PathBuf {
        left.strip_prefix(&self.left).unwrap_or(left).components().skip(1).collect()
    }
}

/// `failed/INODE.json`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Below the mount.
    path: PathBuf,
    /// When the file was written last before its upload failed, in ns since 1970.
    modified: i128,
}

/// A file whose upload failed.
#[derive(Debug, Clone)]
pub(in crate::warden) struct Failed {
    pub(in crate::warden) path: PathBuf,
    pub(in crate::warden) data: PathBuf,
    pub(in crate::warden) inode: u64,
    pub(in crate::warden) local: Local,
    /// It was written to after that.
    pub(in crate::warden) changed: bool,
}

/// Before each start: what the driver before has left is put aside. Says how many files are left now.
pub(super) fn rescue(cache: &Path) -> Result<u64, RescueError> {
    let folders = Folders::of(cache);
    put_aside(&folders)?;
    sift(&folders)
}

/// By one rename: whatever is still alive of that driver finds nothing any more that it could empty.
pub(in crate::warden) fn put_aside(folders: &Folders) -> Result<(), RescueError> {
    let Folders { now, left, .. } = folders;
    let fail = |source| RescueError::Aside { path: now.clone(), source };
    match fs::read_dir(now) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
        Ok(mut entries) => {
            if entries.next().is_none() {
                return Ok(());
            }
        }
    }
    file::ensure_dir(left, 0o700)
        .map_err(|source| RescueError::Describe { path: left.clone(), source })?;
    let mut time = clock::now().wall.as_millisecond();
    while left.join(time.to_string()).exists() {
        time += 1;
    }
    fs::rename(now, left.join(time.to_string())).map_err(fail)?;
    let synced = left.parent().map_or(Ok(()), |cache| File::open(cache)?.sync_all());
    synced.map_err(fail)
}

/// Drops what needs no look at the share: copies of its files, empty files that were open, and second
/// names of what is in `failed` already.
fn sift(folders: &Folders) -> Result<u64, RescueError> {
    let failed: Vec<u64> = failed(folders)?.iter().map(|one| one.inode).collect();
    let mut kept = 0;
    for path in files(&folders.left)? {
        let fail = |source| RescueError::Look { path: path.clone(), source };
        let meta = fs::symlink_metadata(&path).map_err(fail)?;
        let needless = meta.is_file()
            && (meta.len() == 0 || local(&meta).is_copy() || failed.contains(&meta.ino()));
        if needless {
            fs::remove_file(&path).map_err(fail)?;
        } else {
            kept += 1;
        }
    }
    prune(&folders.left);
    Ok(kept)
}

pub(in crate::warden) fn local(meta: &Metadata) -> Local {
    let nanos = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).ok().and_then(|since| i128::try_from(since.as_nanos()).ok())
    };
    Local {
        size: meta.len(),
        modified: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        born: meta.created().ok().and_then(nanos),
    }
}

/// Every file below a folder, but folders; none where there is no such folder.
pub(in crate::warden) fn files(root: &Path) -> Result<Vec<PathBuf>, RescueError> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        let fail = |source| RescueError::List { path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(fail)?,
        };
        for entry in entries {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Folders in which nothing is left.
fn prune(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            prune(&entry.path());
            // Refused where something is in it.
            drop(fs::remove_dir(entry.path()));
        }
    }
}

/// Remembers a file whose upload has failed.
pub(in crate::warden) fn note_failed(cache: &Path, path: &Path) -> Result<(), RescueError> {
    let folders = Folders::of(cache);
    let data = folders.now.join(path);
    let fail = |source| RescueError::Look { path: data.clone(), source };
    let meta = match fs::symlink_metadata(&data) {
        // Its user has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(fail)?,
    };
    let link = folders.failed.join(meta.ino().to_string());
    let describe = |source| RescueError::Describe { path: data.clone(), source };
    file::ensure_dir(&folders.failed, 0o700).map_err(describe)?;
    let note = Note { path: path.to_owned(), modified: local(&meta).modified };
    let text = serde_json::to_vec(&note).unwrap_or_default();
    file::write_atomic(&link.with_extension("json"), &text, 0o600).map_err(describe)?;
    match fs::hard_link(&data, &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(RescueError::Aside { path: data, source: error })
        }
        _ => Ok(()),
    }
}

/// Files whose upload failed. A description without a file is of no use and goes.
pub(in crate::warden) fn failed(folders: &Folders) -> Result<Vec<Failed>, RescueError> {
    let mut all = Vec::new();
    for path in files(&folders.failed)? {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let data = path.with_extension("");
        let note = file::read_limited(&path, ENTRY_BYTES_MAX).ok();
        let note = note.and_then(|text| serde_json::from_slice::<Note>(&text).ok());
        let (Ok(meta), Some(note)) = (fs::symlink_metadata(&data), note) else { continue };
        let local = local(&meta);
        let changed = local.modified != note.modified;
        all.push(Failed { path: note.path, data, inode: meta.ino(), local, changed });
    }
    Ok(all)
}

/// The share has it.
pub(in crate::warden) fn forget_failed(failed: &Failed) -> io::Result<()> {
    // The data first: a description alone does no harm.
    fs::remove_file(&failed.data)?;
    fs::remove_file(failed.data.with_extension("json"))
}

#[cfg(test)]
mod tests;
