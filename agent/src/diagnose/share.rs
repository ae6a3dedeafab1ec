//! The share: a file is written, flushed, read back and deleted, by a process that may hang instead
//! of us.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{StepError, step};

/// A share over a slow line takes seconds; one that takes longer is not usable.
const LIMIT: Duration = Duration::from_secs(30);
const SIZE: usize = 4096;

/// What could not be done with the file.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    #[error("{path} cannot be created")]
    Create { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written and flushed")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} cannot be read back")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} holds something else than was written")]
    Differs { path: PathBuf },
    #[error("{path} cannot be deleted")]
    Delete { path: PathBuf, source: io::Error },
}

/// Has `program` try it: `PROGRAM canary share FOLDER`.
pub async fn check(program: &Path, folder: &str) -> Result<(), StepError> {
    step(program, &["canary", "share", folder], LIMIT).await.map(drop)
}

/// Does it here, and may hang for ever.
pub fn try_here(folder: &Path) -> Result<(), ShareError> {
    let path = folder.join(format!(".stationd-canary-{}", std::process::id()));
    let done = there_and_back(&path);
    let deleted = std::fs::remove_file(&path);
    done?;
    deleted.map_err(|source| ShareError::Delete { path, source })
}

fn there_and_back(path: &Path) -> Result<(), ShareError> {
    let path = path.to_owned();
    let written: Vec<u8> = (0..SIZE).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
    let mut file = match File::options().write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(source) => return Err(ShareError::Create { path, source }),
    };
    if let Err(source) = file.write_all(&written).and_then(|()| file.sync_all()) {
        return Err(ShareError::Write { path, source });
    }
    drop(file);
    let mut found = Vec::new();
    match File::open(&path).and_then(|mut file| file.read_to_end(&mut found)) {
        Err(source) => Err(ShareError::Read { path, source }),
        Ok(_) if found != written => Err(ShareError::Differs { path }),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_passes_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        try_here(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = try_here(&folder.path().join("gone")).unwrap_err();
        assert!(matches!(missing, ShareError::Create { .. }), "{missing}");
        let full = try_here(Path::new("/proc")).unwrap_err();
        assert!(matches!(full, ShareError::Create { .. }), "{full}");
    }
}
