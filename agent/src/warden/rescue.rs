//! Saves what a driver that was killed has left, before the next one starts: pure work on files, which needs
//! no mount and no network.

pub(super) mod blobfuse2;
pub(super) mod rclone;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::{Folder, Launch, Source};
use crate::base::chain::Chain;
use crate::os::command::{self, Program};

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

/// `model.bin` becomes `model (recovered 2026-11-28 10.00.00.123456789).bin`: the same for the same version of a
/// file, so that a second try overwrites what the first has left half; and another one for each other version.
fn aside(path: &Path, modified: Timestamp) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let at = modified.strftime("%Y-%m-%d %H.%M.%S");
    let fraction = modified.subsec_nanosecond().unsigned_abs();
    let name = format!("{stem} (recovered {at}.{fraction:09})");
    match path.extension() {
        Some(extension) => format!("{name}.{}", extension.to_string_lossy()),
        None => name,
    }
}

/// Blocking. Says how many files the driver had lost sight of.
pub(super) fn rescue(launch: &Launch) -> Result<u64, RescueError> {
    match &launch.source {
        Source::Rclone(_) => rclone::rescue(&launch.cache),
        Source::Blobfuse2(_) => blobfuse2::rescue(&launch.cache),
        // The kernel keeps what is pending in its memory.
        Source::Cifs(_) | Source::Nfs(_) => Ok(0),
    }
}

/// The same, as far as it must be done before anything is unmounted. Blocking.
pub(super) fn set_aside(launch: &Launch) -> Result<(), RescueError> {
    match &launch.source {
        Source::Blobfuse2(_) => blobfuse2::put_aside(&blobfuse2::Folders::of(&launch.cache)),
        _ => Ok(()),
    }
}

/// Starts the process that brings to the share what is left, and waits for it. Whether nothing is left.
pub(super) async fn bring(program: &Path, folder: &Folder) -> bool {
    let folder = folder.0.display().to_string();
    let program = Program {
        program: program.to_owned(),
        arguments: vec!["warden".to_owned(), "bring".to_owned(), folder],
        environment: BTreeMap::new(),
        folder: PathBuf::from("/"),
        account: None,
    };
    match command::start_attended(&program) {
        Ok(mut child) => child.wait().await.is_ok_and(|status| status.success()),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "nothing is brought to the share");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_beside_is_the_same_for_the_same_version_and_no_other() {
        let at = |ns| Timestamp::new(1_764_324_000, ns).unwrap();
        let name = |path: &str, at| aside(Path::new(path), at);
        let first = name("a/model.tar.gz", at(5));
        assert_eq!(first, "model.tar (recovered 2025-11-28 10.00.00.000000005).gz");
        assert_eq!(first, name("a/model.tar.gz", at(5)));
        assert_ne!(first, name("a/model.tar.gz", at(6)));
        assert_eq!(name("Makefile", at(0)), "Makefile (recovered 2025-11-28 10.00.00.000000000)");
    }
}
