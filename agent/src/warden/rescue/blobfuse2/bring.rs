//! `stationd warden bring DIR`: brings what blobfuse2 has left to the share, through the mount, so that it needs no
//! credential. A process of its own, because the mount may hang.
//!
//! It ends with 0 when nothing is left. A file is dropped only after the share was seen to have its content, or
//! after a `close()` on the mount has returned 0: blobfuse2 returns it when the storage has taken the file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use rustix::fs::SeekFrom;

use super::judge::{self, Local, Share, Verdict, Written};
use super::{Failed, Folders};
use crate::base::chain::Chain;
use crate::os::file::{self, FileError};
use crate::warden::files::{FILE_BYTES_MAX, Folder, Launch};
use crate::warden::rescue::{RescueError, aside};

/// After so many errors the share is taken for unreachable, and it is tried later.
const ERRORS: usize = 3;
const BLOCK: usize = 1024 * 1024;

/// What was not brought, and why.
#[derive(Debug, thiserror::Error)]
enum BringError {
    #[error("the launch file cannot be read")]
    Launch(#[source] FileError),
    #[error("the launch file is not understood")]
    Parse(#[source] serde_json::Error),
    #[error("what is left cannot be listed")]
    List(#[source] RescueError),
    #[error("{path} cannot be compared with the share")]
    Compare { path: PathBuf, source: io::Error },
    #[error("{path} cannot be brought to the share")]
    Put { path: PathBuf, source: io::Error },
    #[error("{path} is at the share and cannot be dropped here")]
    Drop { path: PathBuf, source: io::Error },
}

pub(in crate::warden) fn run(folder: PathBuf) -> ExitCode {
    let read = || {
        let text = file::read_limited(&Folder(folder).launch(), FILE_BYTES_MAX);
        serde_json::from_slice(&text.map_err(BringError::Launch)?).map_err(BringError::Parse)
    };
    match read().and_then(|launch: Launch| bring(&launch.cache, &launch.place)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            crate::warden::complain(&Chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Whether all is done.
fn bring(cache: &Path, place: &Path) -> Result<bool, BringError> {
    let folders = Folders::of(cache);
    let failed = super::failed(&folders).map_err(BringError::List)?;
    let mut errors = 0;
    for one in &failed {
        errors += told(bring_failed(place, &folders, one));
        if errors >= ERRORS {
            return Ok(false);
        }
    }
    for left in super::files(&folders.left).map_err(BringError::List)? {
        errors += told(bring_left(place, &folders, &left));
        if errors >= ERRORS {
            return Ok(false);
        }
    }
    super::prune(&folders.left);
    Ok(errors == 0)
}

fn told(done: Result<(), BringError>) -> usize {
    let Err(error) = done else { return 0 };
    crate::warden::complain(&Chain(&error));
    1
}

fn bring_failed(place: &Path, folders: &Folders, one: &Failed) -> Result<(), BringError> {
    let here = fs::symlink_metadata(folders.now.join(&one.path));
    let path = one.path.clone();
    if here.is_ok_and(|meta| meta.ino() == one.inode) {
        // The driver still has it: it uploads what it has when something is written and closed.
        touch(&place.join(&one.path), &one.data)
            .map_err(|source| BringError::Put { path, source })?;
    } else {
        let written = if one.changed { Written::Open } else { Written::Closed };
        settle(place, &one.path, (&one.data, &one.local), written)?;
    }
    super::forget_failed(one).map_err(|source| BringError::Drop { path: one.data.clone(), source })
}

fn bring_left(place: &Path, folders: &Folders, left: &Path) -> Result<(), BringError> {
    let fail = |source| BringError::Compare { path: left.to_owned(), source };
    let meta = fs::symlink_metadata(left).map_err(fail)?;
    if meta.is_file() {
        let below = folders.below(left);
        settle(place, &below, (left, &super::local(&meta)), Written::Open)?;
    }
    fs::remove_file(left).map_err(|source| BringError::Drop { path: left.to_owned(), source })
}

/// Does with one file what is right.
fn settle(
    place: &Path,
    below: &Path,
    (data, local): (&Path, &Local),
    written: Written,
) -> Result<(), BringError> {
    let at = place.join(below);
    let share = compare(data, &at);
    let share = share.map_err(|source| BringError::Compare { path: below.to_owned(), source })?;
    let to = match judge::verdict(local, written, share) {
        Verdict::Drop => return Ok(()),
        Verdict::Replay => at,
        Verdict::Beside => {
            let modified = Timestamp::from_nanosecond(local.modified).unwrap_or_default();
            at.with_file_name(aside(&at, modified))
        }
    };
    put(data, &to).map_err(|source| BringError::Put { path: below.to_owned(), source })
}

fn compare(data: &Path, at: &Path) -> io::Result<Share> {
    let there = match File::open(at) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Share::None);
        }
        there => there?,
    };
    let (meta, here) = (there.metadata()?, File::open(data)?);
    let size = here.metadata()?.len();
    let other = Share::Other { modified: super::local(&meta).modified };
    if meta.is_dir() || meta.len() != size {
        return Ok(other);
    }
    if same(&here, &there, 0, size)? {
        return Ok(Share::Same);
    }
    Ok(if fuller(&here, &there, size)? { Share::Fuller } else { other })
}

fn same(one: &File, other: &File, from: u64, to: u64) -> io::Result<bool> {
    let (mut a, mut b) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).unwrap_or(BLOCK).min(BLOCK);
        let (Some(a), Some(b)) = (a.get_mut(..length), b.get_mut(..length)) else {
            return Ok(false);
        };
        one.read_exact_at(a, at)?;
        other.read_exact_at(b, at)?;
        if a != b {
            return Ok(false);
        }
        at += u64::try_from(length).unwrap_or(u64::MAX);
    }
    Ok(true)
}

/// Whether `here` has holes, and is the same as `there` everywhere else.
fn fuller(here: &File, there: &File, size: u64) -> io::Result<bool> {
    let mut at = 0;
    let mut holes = false;
    while at < size {
        let data = match rustix::fs::seek(here, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole up to the end.
            Err(rustix::io::Errno::NXIO) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        holes |= data > at;
        let end = rustix::fs::seek(here, SeekFrom::Hole(data))?;
        if !same(here, there, data, end.min(size))? {
            return Ok(false);
        }
        at = end;
    }
    Ok(holes)
}

/// Copies a file to the share; `Ok` when the storage has it.
fn put(data: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut from = File::open(data)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(to)?;
    let copied = io::copy(&mut from, &mut file);
    close(file)?;
    copied.map(drop)
}

/// Has the driver upload what it has. How long the file is and what is in it is asked of the cache: what the kernel
/// remembers of the mount may be older, and nothing may be cut off by it.
fn touch(at: &Path, data: &Path) -> io::Result<()> {
    let mut first = [0];
    let empty = File::open(data)?.read_at(&mut first, 0)? == 0;
    // An empty one is uploaded when it was emptied.
    let file = OpenOptions::new().write(true).truncate(empty).open(at)?;
    let written = if empty { Ok(()) } else { file.write_all_at(&first, 0) };
    close(file)?;
    written
}

/// The error of `close(2)`, which the standard library drops, is the storage's answer.
fn close(file: File) -> io::Result<()> {
    nix::unistd::close(file.into_raw_fd()).map_err(Into::into)
}

#[cfg(test)]
pub(super) fn everything(cache: &Path, place: &Path) {
    assert!(bring(cache, place).unwrap());
}
