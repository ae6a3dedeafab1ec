//! Files: whole or not at all, with the mode they need, and errors that name the path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
/// What failed, and on which path.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot create the folder {path}")]
    CreateDir { path: PathBuf, source: io::Error },
    #[error("cannot lock {path}")]
    Lock { path: PathBuf, source: io::Error },
    #[error(
        "{path} is no folder of user {uid} alone: somebody else has made or opened it; look at it \
         and remove it"
    )]
    Foreign { path: PathBuf, uid: u32 },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
}

/// Replaces `path` in one step: a crash leaves the old content or the new, never half.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let fail = |source| FileError::Write { path: path.to_owned(), source };
    let temporary = path.with_added_extension("new");
    let written = || -> io::Result<()> {
        // What a crash has left, or somebody has put there: it is not written through.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(fail)
}

/// A new, empty file that is written bit by bit; what was there before is gone.
pub fn create_log(path: &Path) -> Result<File, FileError> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    opened.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// A new file for its owner alone; what is there already, a link too, is an error and stays as it is.
pub fn create_private(path: &Path) -> Result<File, FileError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// A file in a place that somebody else may change: nothing but a plain file is read, no link is
/// followed, and nothing is waited for.
pub fn read_plain(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let fail = |source| FileError::Read { path: path.to_owned(), source };
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(fail(io::ErrorKind::InvalidInput.into()));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// The whole file, if it is not larger than `limit` bytes.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let fail = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if u64::try_from(read).is_ok_and(|read| read > limit) {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Makes the folder and its parents where they are missing; an existing one keeps its mode.
pub fn ensure_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|source| FileError::CreateDir { path: path.to_owned(), source })
}

/// The same, for a folder in a place where others may make things: it must be a folder of our own
/// that nobody else may write into.
pub fn ensure_own_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    ensure_dir(path, mode)?;
    check_own_dir(path)
}

/// Whether a folder is there, is our own and not open to others; a link to one is not.
pub fn check_own_dir(path: &Path) -> Result<(), FileError> {
    let found = fs::symlink_metadata(path)
        .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    let uid = nix::unistd::geteuid().as_raw();
    if found.is_dir() && found.uid() == uid && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(FileError::Foreign { path: path.to_owned(), uid })
}

/// Makes the file where it is missing, and leaves it readable for its owner alone. For files that
/// somebody else (a library) fills.
pub fn make_private(path: &Path) -> Result<(), FileError> {
    let made = || -> io::Result<()> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))
    };
    made().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Makes the folder and its parents where they are missing; the folder itself gets the mode.
pub fn ensure_private_dir(path: &Path) -> Result<(), FileError> {
    ensure_dir(path, 0o700)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// A lock that the kernel gives back when the process ends, however it ends.
#[derive(Debug)]
pub struct Locked {
    _lock: Flock<File>,
}

/// Who holds the lock, as the holder wrote it (its process id).
#[derive(Debug)]
pub struct Holder(pub String);

/// Takes the lock on `path` and writes `note` into it; `Ok(Err(Holder))` if another has it.
pub fn lock(path: &Path, note: &str) -> Result<Result<Locked, Holder>, FileError> {
    let fail = |source| FileError::Lock { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(fail)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0).map_err(fail)?;
            lock.write_all(note.as_bytes()).map_err(fail)?;
            Ok(Ok(Locked { _lock: lock }))
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(fail)?;
            Ok(Err(Holder(holder.trim().to_owned())))
        }
        Err((_, errno)) => Err(fail(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_plain_file_is_read_where_others_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_atomic(&at("plain"), b"text", 0o600).unwrap();
        assert_eq!(read_plain(&at("plain"), 2).unwrap(), b"te");
        // Whoever opens a pipe for reading waits until somebody writes.
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink(at("plain"), at("link")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for name in ["pipe", "link", "folder", "none"] {
            assert!(matches!(read_plain(&at(name), 9), Err(FileError::Read { .. })), "{name}");
        }
    }

    #[test]
    fn write_atomic_replaces_and_sets_the_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o600).unwrap();
        assert_eq!(read_limited(&path, 10).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_through_a_link_and_no_folder_of_others_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("x.json"), folder.path().join("victim"));
        write_atomic(&victim, b"as it was", 0o600).unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("x.json.new")).unwrap();
        write_atomic(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"as it was");
        assert_eq!(fs::read(&path).unwrap(), b"new");

        let own = folder.path().join("own");
        ensure_own_dir(&own, 0o700).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(matches!(ensure_own_dir(&link, 0o700), Err(FileError::Foreign { .. })));
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(ensure_own_dir(&own, 0o700), Err(FileError::Foreign { .. })));
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        write_atomic(&path, &[0; 11], 0o600).unwrap();
        assert!(matches!(read_limited(&path, 10), Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn the_second_to_lock_learns_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path, "41").unwrap().unwrap();
        assert_eq!(lock(&path, "42").unwrap().unwrap_err().0, "41");
        drop(first);
        assert!(lock(&path, "43").unwrap().is_ok());
    }
}
