//! One unmount, in a process of its own: it writes back what the kernel holds, and a driver that hangs
//! keeps it for ever.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::base::chain::Chain;
use crate::os::command::{self, Program};
use crate::os::machine::mount;

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(30);

/// May do for a user what only root may.
const FUSERMOUNT: &str = "/usr/bin/fusermount3";
const BUSY: u8 = 16;

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::warden) enum Unmounted {
    Done,
    Busy,
    Failed(String),
}

/// `stationd warden unmount PATH`: unmounts, and says by its exit code how it went.
pub(in crate::warden) fn run(path: &Path) -> ExitCode {
    match mount::unmount(path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_busy() => ExitCode::from(BUSY),
        Err(error) => {
            crate::warden::complain(&Chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Takes a dead mount of a user's driver out of sight.
pub(in crate::warden) async fn detach_as_user(path: &Path) -> Result<(), String> {
    let program = Program {
        program: PathBuf::from(FUSERMOUNT),
        arguments: vec!["-u".to_owned(), "-z".to_owned(), path.display().to_string()],
        environment: BTreeMap::new(),
        folder: PathBuf::from("/"),
        account: None,
    };
    match command::run_as(&program, LIMIT, |_| false).await {
        Ok(output) if output.success => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

/// Starts that process and waits. `fusermount` is for a driver that a user started.
pub(in crate::warden) async fn unmount(program: &Path, path: &Path, fusermount: bool) -> Unmounted {
    let path = path.display().to_string();
    let (program, arguments) = if fusermount {
        (PathBuf::from(FUSERMOUNT), vec!["-u".to_owned(), path])
    } else {
        (program.to_owned(), vec!["warden".to_owned(), "unmount".to_owned(), path])
    };
    let program = Program {
        program,
        arguments,
        environment: BTreeMap::new(),
        folder: PathBuf::from("/"),
        account: None,
    };
    let failed = |error: &dyn std::error::Error| Unmounted::Failed(Chain(error).to_string());
    let mut child = match command::start_attended(&program) {
        Ok(child) => child,
        Err(error) => return failed(&error),
    };
    match tokio::time::timeout(LIMIT, child.wait()).await {
        Ok(Ok(status)) if status.success() => Unmounted::Done,
        // fusermount3 has one code for everything, and is only told to go when nothing is wrong.
        Ok(Ok(status)) if status.code() == Some(i32::from(BUSY)) || fusermount => Unmounted::Busy,
        Ok(Ok(status)) => Unmounted::Failed(format!("the unmount ended with {status}")),
        Ok(Err(error)) => failed(&error),
        Err(_elapsed) => Unmounted::Failed("the unmount does not end".to_owned()),
    }
}
