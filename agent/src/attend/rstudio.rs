//! What RStudio Server needs around it: files before its start, and the suspension of its sessions
//! before its end. Facts: its public documentation and administration scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::sight::r_sessions;
use super::{AttendError, complain, prepare_error, tree};
use crate::os::{file, process};

/// How long sessions may take that are idle (SIGUSR1), and those that are not (SIGUSR2): what they
/// hold is written to disk.
const IDLE: Duration = Duration::from_secs(3);
const BUSY: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(100);
/// The .deb leaves it to root, and a server of another user ends without a word then.
const RPC_KEY: &str = "session-rpc-key";
/// Where the system's key lies, unless there is one in the configuration's own folder.
const SYSTEM: &str = "/var/lib/rstudio-server";
/// An end so soon after the start is a failed start.
const SOON: Duration = Duration::from_secs(10);

/// The server's own files, in the app's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The server makes it writable for everybody: it must lie where nobody else gets to.
    pub data: PathBuf,
    pub cookie_key: PathBuf,
    pub database: PathBuf,
    pub session: PathBuf,
}

impl Files {
    pub fn of(folder: &Path) -> Self {
        Self {
            data: folder.join("data"),
            cookie_key: folder.join("cookie-key"),
            database: folder.join("database.conf"),
            session: folder.join("rsession.conf"),
        }
    }
}

/// Writes them. A key of an earlier start is kept, so that a page that is open stays signed in.
pub(super) fn prepare(folder: &Path, work: Option<&Path>) -> Result<(), AttendError> {
    let files = Files::of(folder);
    fs::create_dir_all(&files.data).map_err(prepare_error(&files.data))?;
    let database = format!("provider=sqlite\ndirectory={}\n", files.data.display());
    write(&files.database, &database)?;
    let work = work.map(|work| work.display().to_string()).unwrap_or_default();
    let session =
        format!("session-default-working-dir={work}\nsession-default-new-project-dir={work}\n");
    write(&files.session, &session)
}

fn write(path: &Path, text: &str) -> Result<(), AttendError> {
    file::write_atomic(path, text.as_bytes(), 0o600).map_err(AttendError::Write)
}

/// Suspends every session: at once those that are idle, then the others.
pub(super) async fn suspend(root: i32) {
    for (signal, limit) in [(Signal::SIGUSR1, IDLE), (Signal::SIGUSR2, BUSY)] {
        let found = sessions(root);
        for session in &found {
            // One that has just ended is what was wanted.
            drop(process::signal(*session, signal));
        }
        let gone = async {
            while !sessions(root).is_empty() {
                tokio::time::sleep(STEP).await;
            }
        };
        if found.is_empty() || tokio::time::timeout(limit, gone).await.is_ok() {
            return;
        }
    }
}

fn sessions(root: i32) -> Vec<i32> {
    r_sessions(&tree::below(root)).map(|process| process.pid).collect()
}

/// The one cause of a silent death that is known, said where a person looks.
pub(super) fn explain(ran: Duration) {
    if ran > SOON {
        return;
    }
    let configured = std::env::var_os("RSTUDIO_CONFIG_DIR").map(PathBuf::from);
    match unusable_key(configured.into_iter().chain([SYSTEM.into()])) {
        Some(said) => complain(&said),
        None => complain(&"rserver ended right after its start"),
    }
}

/// What is wrong with the key: the first that is there counts for rserver, usable or not.
fn unusable_key(folders: impl IntoIterator<Item = PathBuf>) -> Option<String> {
    let mut keys = folders.into_iter().map(|folder| folder.join(RPC_KEY));
    let key = keys.find(|key| fs::symlink_metadata(key).is_ok())?;
    let problem = match fs::read(&key) {
        Ok(text) if text.is_empty() => "is empty".to_owned(),
        Ok(_) => return None,
        Err(error) => format!("cannot be read ({})", error.kind()),
    };
    Some(format!(
        "rserver ended without a word: {} {problem}; remove that file, or give it to this user with \
         chown",
        key.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_that_is_there_is_looked_at() {
        let place = tempfile::tempdir().unwrap();
        let folders = || ["configured", "system"].map(|name| place.path().join(name));
        for folder in folders() {
            fs::create_dir(folder).unwrap();
        }
        let key =
            |folder: usize, text: &str| write(&folders()[folder].join(RPC_KEY), text).unwrap();
        assert_eq!(unusable_key(folders()), None);
        key(1, "");
        let said = unusable_key(folders()).unwrap();
        assert!(said.contains("/system/session-rpc-key is empty; remove that file"), "{said}");
        key(0, "key");
        assert_eq!(unusable_key(folders()), None);
        fs::remove_file(folders()[0].join(RPC_KEY)).unwrap();
        fs::create_dir(folders()[0].join(RPC_KEY)).unwrap();
        let said = unusable_key(folders()).unwrap();
        assert!(said.contains("/configured/session-rpc-key cannot be read"), "{said}");
    }
}
