//! The probe: looks at what may hang, such as the folder of a dead share, so that nobody else has to.
//!
//! ```text
//!   stationd ──"look at PATH"──► Probe (handle) ──► stationd probe ──► a process for each look
//!                                  └ without units: the handle starts that process itself
//! ```
//!
//! Invariants: whatever hangs in the kernel hangs in a process of its own, one at most for each
//! path; an answer comes within its limit, and "silent" is one.
//!
//! Not here: what an answer means (the caller's).

mod look;
pub mod role;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use self::look::Looker;
use crate::base::chain::Chain;
use crate::os::socket::calls;

pub use self::look::run;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    Folder,
    Missing,
    NotAFolder,
    /// The file system gave no answer in time.
    Silent,
    /// It may not be looked at.
    Denied,
    /// The look itself was not possible: nothing is known.
    Unknown,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    Look { path: PathBuf },
}

/// The way to the probe; clones share it.
#[derive(Debug, Clone)]
pub struct Probe(BackEnd);

#[derive(Debug, Clone)]
enum BackEnd {
    /// This program is started for each look.
    Own(Arc<Own>),
    Socket(PathBuf),
}

#[derive(Debug)]
struct Own {
    program: PathBuf,
    lookers: Mutex<HashMap<PathBuf, Arc<Mutex<Looker>>>>,
}

/// How much longer the way to the probe may take than the look.
const WAY: Duration = Duration::from_secs(1);
/// Paths that are looked at; more are refused.
const PATHS: usize = 64;

impl Probe {
    /// Starts `PROGRAM probe look` from here.
    pub fn own(program: PathBuf) -> Self {
        Self(BackEnd::Own(Arc::new(Own { program, lookers: Mutex::default() })))
    }

    /// Asks `stationd probe`, which listens on `socket`.
    pub fn over(socket: PathBuf) -> Self {
        Self(BackEnd::Socket(socket))
    }

    /// What stands at `path`; an answer comes within `limit`, or little more.
    pub async fn look(&self, path: &Path, limit: Duration) -> Look {
        match &self.0 {
            BackEnd::Own(own) => own.look(path, limit).await,
            BackEnd::Socket(socket) => {
                let question = Question::Look { path: path.to_owned() };
                match calls::call(socket, &question, limit + WAY).await {
                    Ok(look) => look,
                    Err(error) => {
                        tracing::debug!(error = %Chain(&error), "the probe does not answer");
                        Look::Unknown
                    }
                }
            }
        }
    }
}

impl Own {
    async fn look(&self, path: &Path, limit: Duration) -> Look {
        let looker = {
            let mut lookers = self.lookers.lock().await;
            if lookers.len() >= PATHS && !lookers.contains_key(path) {
                return Look::Unknown;
            }
            Arc::clone(lookers.entry(path.to_owned()).or_default())
        };
        // Somebody else looks at it just now, with a limit: theirs is the answer that counts.
        let Ok(mut looker) = tokio::time::timeout(limit, looker.lock()).await else {
            return Look::Silent;
        };
        looker.look(&self.program, path, limit).await
    }
}
