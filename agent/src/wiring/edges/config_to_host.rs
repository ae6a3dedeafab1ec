//! Which disks and tools of this machine matter to a station. Pure.

use std::path::{Path, PathBuf};

use crate::config::Paths;

/// The operating system's, those of stationd's state and of temporary files, and the workspace's.
pub(in crate::wiring) fn disks(paths: &Paths, workspace: &Path) -> Vec<PathBuf> {
    let mut disks = own_disks(paths);
    disks.push(workspace.to_owned());
    disks
}

/// The same without the workspace, which may change.
pub(in crate::wiring) fn own_disks(paths: &Paths) -> Vec<PathBuf> {
    vec![PathBuf::from("/"), paths.state_dir.clone(), PathBuf::from("/tmp")]
}
