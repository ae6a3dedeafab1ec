//! One look at one path, in a process of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::process::Child;

use super::Look;
use crate::base::chain::Chain;
use crate::os::command::{self, Program};

/// The process of a look that did not end in time: while it hangs, no other is started.
#[derive(Debug, Default)]
pub(super) struct Looker {
    hangs: Option<Child>,
}

impl Looker {
    pub(super) async fn look(&mut self, program: &Path, path: &Path, limit: Duration) -> Look {
        if let Some(child) = &mut self.hangs {
            match child.try_wait() {
                Ok(None) => return Look::Silent,
                _ => self.hangs = None,
            }
        }
        let mut child = match command::start_look(&asks(program, path)) {
            Ok(child) => child,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "nothing can be looked at");
                return Look::Unknown;
            }
        };
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(Ok(status)) => seen(status.code()),
            Ok(Err(_)) => Look::Unknown,
            Err(_elapsed) => {
                // It may hang where no signal reaches it.
                if let Err(error) = child.start_kill() {
                    tracing::debug!(%error, "a look that hangs cannot be killed");
                }
                self.hangs = Some(child);
                Look::Silent
            }
        }
    }
}

fn asks(program: &Path, path: &Path) -> Program {
    let path = path.to_string_lossy().into_owned();
    Program {
        program: program.to_owned(),
        arguments: vec!["probe".to_owned(), "look".to_owned(), path],
        environment: BTreeMap::new(),
        folder: PathBuf::from("/"),
        account: None,
    }
}

/// The exit codes of a look.
const FOLDER: u8 = 0;
const MISSING: u8 = 10;
const NOT_A_FOLDER: u8 = 11;
const DENIED: u8 = 12;

fn seen(code: Option<i32>) -> Look {
    match code.and_then(|code| u8::try_from(code).ok()) {
        Some(FOLDER) => Look::Folder,
        Some(MISSING) => Look::Missing,
        Some(NOT_A_FOLDER) => Look::NotAFolder,
        Some(DENIED) => Look::Denied,
        _ => Look::Unknown,
    }
}

/// `stationd probe look PATH`: looks, and says by its exit code what it saw.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some(path) = arguments.into_iter().next() else {
        drop(writeln!(io::stderr(), "usage: stationd probe look PATH"));
        return ExitCode::from(2);
    };
    ExitCode::from(match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => FOLDER,
        Ok(_) => NOT_A_FOLDER,
        Err(error) if error.kind() == io::ErrorKind::NotFound => MISSING,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => NOT_A_FOLDER,
        // A dead share answers with errors of many kinds; only a denial says that we may not know.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => DENIED,
        Err(_) => MISSING,
    })
}
