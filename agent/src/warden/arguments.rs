//! What the role is asked to do.

use std::ffi::OsString;
use std::path::PathBuf;

pub(super) enum Asked {
    /// Hold the mount that this folder's launch file describes.
    Hold(PathBuf),
    /// Unmount, in a process that may hang.
    Unmount(PathBuf),
    /// Bring what blobfuse2 has left to the share, in a process that may hang.
    Bring(PathBuf),
}

pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Asked> {
    let mut arguments = arguments.into_iter();
    let what = arguments.next()?;
    let path = PathBuf::from(arguments.next()?);
    match (what.to_str()?, arguments.next()) {
        ("--dir", None) => Some(Asked::Hold(path)),
        ("unmount", None) => Some(Asked::Unmount(path)),
        ("bring", None) => Some(Asked::Bring(path)),
        _ => None,
    }
}
