//! Saves what a driver that was killed has left, before the next one starts: pure work on files, which needs
//! no mount and no network.

pub(super) mod rclone;

use std::io;
use std::path::PathBuf;

use super::files::{Launch, Source};

/// What could not be saved: then no driver is started, for it might delete it.
#[derive(Debug, thiserror::Error)]
pub(super) enum RescueError {
    #[error("cannot list {path}")]
    List { path: PathBuf, source: io::Error },
    #[error("cannot look at {path}")]
    Look { path: PathBuf, source: io::Error },
    #[error("cannot describe {path} anew")]
    Describe { path: PathBuf, source: crate::os::file::FileError },
    #[error("cannot put {path} aside")]
    Aside { path: PathBuf, source: io::Error },
}

/// Blocking. Says how many files the driver had lost sight of.
pub(super) fn rescue(launch: &Launch) -> Result<u64, RescueError> {
    match &launch.source {
        Source::Rclone(_) => rclone::rescue(&launch.cache),
        // What blobfuse2 has acknowledged is at the share; the kernel keeps what is pending in its memory.
        Source::Blobfuse2(_) | Source::Cifs(_) | Source::Nfs(_) => Ok(0),
    }
}
