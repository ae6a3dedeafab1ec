//! rclone's cache after a crash. It writes the description of a file (`vfsMeta`) by truncating the old one,
//! so one that is killed just then leaves it empty, and the next rclone throws the *data* away with it:
//! "removed cache file as failed to load metadata". So each file without a description that can be read gets
//! a new one before rclone starts, which says that all of it is yet to be uploaded.
//!
//! A file with holes is another matter: it may be an old one that was changed in part, and nobody knows any
//! more which part. It would overwrite the rest with zeros, so it is uploaded beside the old one, under a
//! name that says what it is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use rustix::fs::SeekFrom;
use serde::{Deserialize, Serialize};

use super::{RescueError, aside};
use crate::os::file;

/// No description is larger.
const META_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where rclone keeps data and descriptions: two trees of the same shape.
#[derive(Debug, Clone)]
pub(in crate::warden) struct Folders {
    pub(in crate::warden) data: PathBuf,
    pub(in crate::warden) meta: PathBuf,
}

impl Folders {
    pub(in crate::warden) fn of(cache: &Path) -> Self {
        Self { data: cache.join("vfs"), meta: cache.join("vfsMeta") }
    }

    /// The data that a description belongs to.
    pub(in crate::warden) fn data_of(&self, meta: &Path) -> Option<PathBuf> {
        Some(self.data.join(meta.strip_prefix(&self.meta).ok()?))
    }

    /// The file's path below the mount: without the `depth` first parts, which name the remote.
    pub(in crate::warden) fn shown(&self, meta: &Path, depth: usize) -> String {
        let below = meta.strip_prefix(&self.meta).unwrap_or(meta);
        below.components().skip(depth).collect::<PathBuf>().display().to_string()
    }
}

/// A description, as far as it matters here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::warden) struct Meta {
    mod_time: String,
    a_time: String,
    size: u64,
    #[serde(default)]
    rs: Option<Vec<Range>>,
    #[serde(default)]
    fingerprint: String,
    dirty: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    pos: u64,
    size: u64,
}

impl Meta {
    /// `None` if rclone could not read it either.
    pub(in crate::warden) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&file::read_limited(path, META_BYTES_MAX).ok()?).ok()
    }

    pub(in crate::warden) fn dirty(&self) -> bool {
        self.dirty
    }

    /// All of the file is here, and none of it in the share.
    fn anew(size: u64, modified: Timestamp) -> Self {
        let at = modified.to_string();
        let all = Range { pos: 0, size };
        Self {
            mod_time: at.clone(),
            a_time: at,
            size,
            rs: Some(if size == 0 { Vec::new() } else { vec![all] }),
            fingerprint: String::new(),
            dirty: true,
        }
    }
}

/// Gives each file without a readable description a new one. Says how many there were.
pub(super) fn rescue(cache: &Path) -> Result<u64, RescueError> {
    let folders = Folders::of(cache);
    let mut saved = 0;
    let mut open = vec![folders.data.clone()];
    while let Some(folder) = open.pop() {
        let fail = |source| RescueError::List { path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(fail)?,
        };
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let kind = entry.file_type().map_err(fail)?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                saved += u64::from(describe(&folders, &entry.path())?);
            }
        }
    }
    Ok(saved)
}

/// Whether the file had to be described anew.
fn describe(folders: &Folders, data: &Path) -> Result<bool, RescueError> {
    let below = data.strip_prefix(&folders.data).unwrap_or(data);
    let meta = folders.meta.join(below);
    if Meta::read(&meta).is_some() {
        return Ok(false);
    }
    let fail = |source| RescueError::Look { path: data.to_owned(), source };
    let found = fs::metadata(data).map_err(fail)?;
    let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let modified = Timestamp::try_from(modified).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut described = meta.clone();
    if has_holes(data, found.len()).map_err(fail)? {
        let name = aside(data, modified);
        let to = data.with_file_name(&name);
        fs::rename(data, &to)
            .map_err(|source| RescueError::Aside { path: data.to_owned(), source })?;
        described = meta.with_file_name(&name);
        // It described what is not there any more.
        drop(fs::remove_file(&meta));
    }
    let fail = |source| RescueError::Describe { path: described.clone(), source };
    if let Some(folder) = described.parent() {
        file::ensure_dir(folder, 0o700).map_err(fail)?;
    }
    let text = serde_json::to_vec(&Meta::anew(found.len(), modified)).unwrap_or_default();
    file::write_atomic(&described, &text, 0o600).map_err(fail)?;
    Ok(true)
}

fn has_holes(path: &Path, size: u64) -> io::Result<bool> {
    if size == 0 {
        return Ok(false);
    }
    let file = File::open(path)?;
    // The end of a file counts as a hole.
    Ok(rustix::fs::seek(&file, SeekFrom::Hole(0))? < size)
}

#[cfg(test)]
mod tests;
