//! The storage, a local folder, and the cache before it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As in `open(2)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) create: bool,
    pub(crate) truncate: bool,
}

#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) cache: PathBuf,
    pub(crate) store: PathBuf,
}

impl Storage {
    /// Of the copy in the cache, or else of the file or folder in the storage.
    pub(crate) fn look(&self, path: &Path) -> io::Result<(Metadata, SystemTime)> {
        if let Ok(meta) = fs::symlink_metadata(self.cache.join(path))
            && meta.is_file()
        {
            let modified = meta.modified()?;
            return Ok((meta, modified));
        }
        let meta = fs::symlink_metadata(self.store.join(path))?;
        let modified = last_modified(&meta)?;
        Ok((meta, modified))
    }

    /// Opens the copy in the cache, which is fetched where it is missing and has the time of the storage's file then.
    pub(crate) fn open(&self, path: &Path, how: How) -> io::Result<File> {
        let How { create, truncate } = how;
        let copy = self.cache.join(path);
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)?;
        }
        if !copy.exists() && !create {
            let meta = fs::metadata(self.store.join(path))?;
            fs::copy(self.store.join(path), &copy)?;
            File::options().write(true).open(&copy)?.set_modified(last_modified(&meta)?)?;
        }
        OpenOptions::new().read(true).write(true).create(create).truncate(truncate).open(copy)
    }

    /// Puts the whole file into the storage, in one step.
    pub(crate) fn upload(&self, path: &Path) -> io::Result<()> {
        let to = self.store.join(path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let under_way = self.store.with_extension("upload");
        fs::copy(self.cache.join(path), &under_way)?;
        fs::rename(under_way, to)
    }

    /// Names of what is in a folder, here or there.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.store.join(path))?.flatten() {
            names.push(entry.file_name());
        }
        for entry in fs::read_dir(self.cache.join(path)).into_iter().flatten().flatten() {
            if entry.path().is_file() {
                names.push(entry.file_name());
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// One of the two may have nothing of that name.
    pub(crate) fn both(&self, act: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        match (act(&self.cache), act(&self.store)) {
            (Ok(()), _) | (_, Ok(())) => Ok(()),
            (Err(error), Err(_)) => Err(error),
        }
    }
}

/// A storage knows whole seconds only.
fn last_modified(meta: &Metadata) -> io::Result<SystemTime> {
    let since = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}
