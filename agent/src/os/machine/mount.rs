//! Mounts: what there are, and the few system calls that change them.
//!
//! Nothing here asks a file system for anything, so that nothing hangs on one that is dead: paths
//! are named to the kernel, and only what it keeps by itself is read.

pub mod fuse;
pub mod table;
mod watch;

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rustix::fs::{CWD, IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

pub use self::watch::TableWatch;

/// A driver's configuration and a few empty folders.
const STAGE_MIB: u32 = 16;

/// What was not done, and where.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("cannot read the table of mounts")]
    Table(#[source] io::Error),
    #[error("cannot make the place for a new mount in {path}")]
    Stage { path: PathBuf, source: io::Error },
    #[error("cannot make {path} a shared mount")]
    Share { path: PathBuf, source: io::Error },
    #[error("cannot move the new mount to {path}")]
    Move { path: PathBuf, source: io::Error },
    #[error("cannot unmount {path}")]
    Unmount { path: PathBuf, source: io::Error },
    #[error("cannot bind {from} to {path}")]
    Bind { from: PathBuf, path: PathBuf, source: io::Error },
}

impl MountError {
    /// Somebody uses it.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Unmount { source, .. } if source.kind() == io::ErrorKind::ResourceBusy)
    }
}

/// How a new mount came to the place of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// There was none.
    First,
    /// Under the old one, which then went: nobody ever saw the bare folder. Linux 6.5 and later.
    Beneath,
    /// Over the old one, which stays below until both go.
    OnTop,
}

/// How a new mount is to come to the place of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Beneath it, if the kernel can.
    Beneath,
    OnTop,
}

/// A folder where mounts can be made that nobody sees, until they are moved: a private tmpfs, because
/// the kernel takes no mount away from a shared parent.
pub fn stage(path: &Path) -> Result<(), MountError> {
    stage_of(path, STAGE_MIB)
}

/// The same with room for so much.
pub fn stage_of(path: &Path, mib: u32) -> Result<(), MountError> {
    let fail = |source| MountError::Stage { path: path.to_owned(), source };
    let table = table::read().map_err(MountError::Table)?;
    if table.iter().any(|entry| entry.at == path) {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(fail)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = CString::new(format!("mode=0700,size={mib}m")).unwrap_or_default();
    rustix::mount::mount("stationd", path, "tmpfs", flags, Some(options.as_c_str()))
        .and_then(|()| rustix::mount::mount_change(path, MountPropagationFlags::PRIVATE))
        .map_err(|errno| fail(errno.into()))
}

/// Makes sure that what is mounted below `path` is seen by all who have bound it: it is, or lies
/// on, a shared mount.
pub fn share(path: &Path) -> Result<(), MountError> {
    let table = table::read().map_err(MountError::Table)?;
    if table::holder(&table, path).is_some_and(|holder| holder.shared) {
        return Ok(());
    }
    let shared = || -> rustix::io::Result<()> {
        if !table.iter().any(|entry| entry.at == path) {
            rustix::mount::mount_bind(path, path)?;
        }
        rustix::mount::mount_change(path, MountPropagationFlags::SHARED)
    };
    shared().map_err(|errno| MountError::Share { path: path.to_owned(), source: errno.into() })
}

/// Moves the mount at `from` to `to`. With `old` a dead mount of ours is there, which goes if the kernel can
/// put the new one beneath it, and if that is wanted.
pub fn put(from: &Path, to: &Path, old: Option<Want>) -> Result<Put, MountError> {
    let fail = |errno: Errno| MountError::Move { path: to.to_owned(), source: errno.into() };
    // The last component is the mount itself, and is not asked for anything.
    let tree =
        rustix::mount::open_tree(CWD, from, OpenTreeFlags::OPEN_TREE_CLOEXEC).map_err(fail)?;
    let to_place = |flags| {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | flags;
        rustix::mount::move_mount(&tree, "", CWD, to, flags)
    };
    let Some(want) = old else {
        return to_place(MoveMountFlags::empty()).map(|()| Put::First).map_err(fail);
    };
    if want == Want::Beneath && to_place(MoveMountFlags::MOVE_MOUNT_BENEATH).is_ok() {
        detach(to)?;
        return Ok(Put::Beneath);
    }
    to_place(MoveMountFlags::empty()).map(|()| Put::OnTop).map_err(fail)
}

/// Shows `from` at `path` too.
pub fn bind(from: &Path, path: &Path) -> Result<(), MountError> {
    rustix::mount::mount_bind(from, path).map_err(|errno| MountError::Bind {
        from: from.to_owned(),
        path: path.to_owned(),
        source: errno.into(),
    })
}

/// Unmounts what is on top at `path`; refused while somebody uses it.
pub fn unmount(path: &Path) -> Result<(), MountError> {
    let done = rustix::mount::unmount(path, UnmountFlags::NOFOLLOW);
    done.map_err(|errno| MountError::Unmount { path: path.to_owned(), source: errno.into() })
}

/// Takes what is on top at `path` out of sight; whoever uses it keeps it.
pub fn detach(path: &Path) -> Result<(), MountError> {
    let done = rustix::mount::unmount(path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH);
    done.map_err(|errno| MountError::Unmount { path: path.to_owned(), source: errno.into() })
}

/// What keeps a folder from being written into while nothing is mounted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nobody can, root neither: `chattr +i`, on file systems that know it.
    Immutable,
    /// Root can.
    Mode,
}

/// Guards the bare folder at `path`, or makes it first. Nothing may be mounted there.
pub fn guard(path: &Path) -> io::Result<Guard> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let folder = open_bare(path)?;
    let flags = match ioctl_getflags(&folder) {
        Ok(flags) if flags.contains(IFlags::IMMUTABLE) => return Ok(Guard::Immutable),
        Ok(flags) => Some(flags),
        Err(_unknown_here) => None,
    };
    folder.set_permissions(fs::Permissions::from_mode(0o555))?;
    let set = flags.map(|flags| ioctl_setflags(&folder, flags | IFlags::IMMUTABLE));
    Ok(if matches!(set, Some(Ok(()))) { Guard::Immutable } else { Guard::Mode })
}

/// Takes the guard away, so that the folder can be removed.
pub fn unguard(path: &Path) -> io::Result<()> {
    let folder = open_bare(path)?;
    if let Ok(flags) = ioctl_getflags(&folder)
        && flags.contains(IFlags::IMMUTABLE)
    {
        ioctl_setflags(&folder, flags - IFlags::IMMUTABLE)?;
    }
    folder.set_permissions(fs::Permissions::from_mode(0o755))
}

fn open_bare(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}
