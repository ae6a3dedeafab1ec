//! What the kernel says of a FUSE connection, and how one that hangs is broken: fusectl, see
//! `Documentation/filesystems/fuse.rst`. A connection is named by the minor number of its device.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

const CONNECTIONS: &str = "/sys/fs/fuse/connections";

fn place(minor: u32, file: &str) -> PathBuf {
    Path::new(CONNECTIONS).join(minor.to_string()).join(file)
}

/// Mounts fusectl where the system has not: without it nothing can be aborted.
pub fn control() -> io::Result<()> {
    let mounted = super::table::read()?.iter().any(|entry| entry.at == Path::new(CONNECTIONS));
    if mounted {
        return Ok(());
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("fusectl", CONNECTIONS, "fusectl", flags, None)?)
}

/// How many requests wait for the driver; `None` where the kernel does not say.
pub fn waiting(minor: u32) -> Option<u64> {
    fs::read_to_string(place(minor, "waiting")).ok()?.trim().parse().ok()
}

/// Breaks the connection: every call that waits for the driver comes back with an error, even those
/// that no signal reaches. A connection that is gone already is no error.
pub fn abort(minor: u32) -> io::Result<()> {
    let written = fs::OpenOptions::new().write(true).open(place(minor, "abort"));
    match written.and_then(|mut file| file.write_all(b"1")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
