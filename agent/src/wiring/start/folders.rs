//! Makes the folders and takes the lock that keeps a second stationd away.

use std::path::Path;

use crate::config::Paths;
use crate::os::file::{self, FileError, Locked};

/// Why this folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FoldersError {
    #[error(
        "{path}: make it writable for the user that runs stationd, or name another folder with \
         --home"
    )]
    Unusable { path: String, source: FileError },
    #[error(
        "another stationd (process {holder}) uses {path}: `stationctl status` shows it, and \
         another one needs its own folder: --home DIR"
    )]
    AlreadyRunning { path: String, holder: String },
}

/// Everything that must exist before a part starts. The lock is held as long as this lives.
pub(in crate::wiring) fn prepare(paths: &Paths) -> Result<Locked, FoldersError> {
    let unusable = |path: &Path| {
        let path = path.display().to_string();
        move |source| FoldersError::Unusable { path, source }
    };
    // The apps' user passes through these two to what is his.
    for (folder, mode) in [(&paths.state_dir, 0o711), (&paths.run_dir, 0o755)] {
        file::ensure_dir(folder, mode).map_err(unusable(folder))?;
    }
    // What apps print may hold tokens; keepers write it as stationd's own user.
    for folder in [&paths.logs_dir, &paths.keys_dir] {
        file::ensure_private_dir(folder).map_err(unusable(folder))?;
    }
    let lock = paths.state_dir.join("stationd.lock");
    let pid = std::process::id().to_string();
    match file::lock(&lock, &pid).map_err(unusable(&paths.state_dir))? {
        Ok(locked) => Ok(locked),
        Err(holder) => {
            let path = paths.state_dir.display().to_string();
            Err(FoldersError::AlreadyRunning { path, holder: holder.0 })
        }
    }
}
