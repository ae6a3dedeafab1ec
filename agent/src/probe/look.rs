//! Looks at a path, in a process of that path.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Child;

use super::Look;
use super::lasting::{self, Answer, Lasting};

/// One line to the process.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    path: String,
}

/// The process that looks at one path, and the one that did not answer in time: while it hangs, no other is
/// started.
#[derive(Debug)]
pub(super) struct Looker {
    process: Lasting,
    hangs: Option<Child>,
}

impl Default for Looker {
    fn default() -> Self {
        Self { process: Lasting::new("look"), hangs: None }
    }
}

impl Looker {
    pub(super) async fn look(&mut self, program: &Path, path: &Path, limit: Duration) -> Look {
        if let Some(child) = &mut self.hangs {
            match child.try_wait() {
                Ok(None) => return Look::Silent,
                _ => self.hangs = None,
            }
        }
        let ask = Ask { path: path.to_string_lossy().into_owned() };
        let Ok(question) = serde_json::to_string(&ask) else { return Look::Unknown };
        match self.process.ask(program, &question, limit).await {
            Answer::Whole(lines) => {
                let said = lines.first().and_then(|line| serde_json::from_str(line).ok());
                said.unwrap_or(Look::Unknown)
            }
            Answer::Part(_, hangs) => {
                self.hangs = hangs;
                Look::Silent
            }
            Answer::Nobody => Look::Unknown,
        }
    }
}

/// `stationd probe look`: looks at the path that each line of its input names, and says what it sees.
pub fn run() -> ExitCode {
    lasting::answers(|line| {
        let ask: Ask = serde_json::from_str(line)?;
        lasting::say(&seen(Path::new(&ask.path)))
    })
}

fn seen(path: &Path) -> Look {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Look::Folder,
        Ok(_) => Look::NotAFolder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Look::Missing,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Look::NotAFolder,
        // A dead share answers with errors of many kinds; only a denial says that we may not know.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Look::Denied,
        Err(_) => Look::Missing,
    }
}
