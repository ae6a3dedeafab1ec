//! What RStudio Server needs around it: files before its start, and the suspension of its sessions
//! before its end. Facts: its public documentation and administration scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::sight::R_SESSION;
use super::{AttendError, complain, prepare_error, tree};
use crate::os::{file, process};

/// How long sessions may take that are idle (SIGUSR1), and those that are not (SIGUSR2): what they
/// hold is written to disk.
const IDLE: Duration = Duration::from_secs(3);
const BUSY: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(100);
/// The .deb leaves it to root, and a server of another user ends without a word then.
const RPC_KEY: &str = "/var/lib/rstudio-server/session-rpc-key";
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
    let named = |command: &[String]| {
        command.first().and_then(|program| program.rsplit('/').next()) == Some(R_SESSION)
    };
    let below = tree::below(root).into_iter();
    below.filter(|process| named(&process.command)).map(|process| process.pid).collect()
}

/// The one cause of a silent death that is known, said where a person looks.
pub(super) fn explain(ran: Duration) {
    if ran > SOON {
        return;
    }
    match fs::File::open(RPC_KEY) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => complain(&format!(
            "rserver ended without a word: it may not read {RPC_KEY}; remove that file, or give it to \
             this user with chown"
        )),
        _ => complain(&"rserver ended right after its start"),
    }
}
