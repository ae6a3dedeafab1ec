//! What a keeper reads, leaves behind and says: the formats that outlive a release.
//!
//! Release N adopts what N-1 left, so fields are only added, each with a default; readers ignore
//! what they do not know. `version` says which release's meaning a file has.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::ids::AppName;
use crate::os::command::Program;
use crate::os::file::{self, FileError};
use crate::os::process::ProcessId;

/// The version of every format in this file.
pub const VERSION: u32 = 1;
/// None of these files is larger.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where a keeper's files lie: one folder per app, which survives stationd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn of(keepers: &Path, app: &AppName) -> Self {
        Self(keepers.join(app.as_str()))
    }

    /// Before something is written into it by somebody with more rights than its surroundings have:
    /// it and the folder of all keepers must be our own.
    pub fn check_own(&self) -> Result<(), FileError> {
        self.0.parent().map_or(Ok(()), file::check_own_dir)?;
        file::check_own_dir(&self.0)
    }

    /// What to start; written before the keeper starts.
    pub fn launch(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// Who runs; written by the keeper once the app runs.
    pub fn kept(&self) -> PathBuf {
        self.0.join("keeper.json")
    }

    /// How it ended; written by the keeper at the very end.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// Who asked for the end.
    pub fn asked(&self) -> PathBuf {
        self.0.join("asked.json")
    }

    /// Where the keeper listens.
    pub fn socket(&self) -> PathBuf {
        self.0.join("k.sock")
    }

    /// Held by the keeper as long as it lives: there is one per app.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What a keeper wrote that could not say it otherwise.
    pub fn errors(&self) -> PathBuf {
        self.0.join("keeper.err")
    }
}

/// `launch.json`: what a keeper starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub version: u32,
    pub app: AppName,
    pub generation: u64,
    /// The value of `STATIOND_UNIT`: `INSTANCE/APP/GENERATION`.
    pub unit: String,
    /// A hash of what the configuration asks for.
    pub spec: String,
    pub program: Program,
    pub log: PathBuf,
    /// The control group that the keeper enters first, with all that it starts.
    #[serde(default)]
    pub group: Option<PathBuf>,
}

/// `keeper.json`: who runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub version: u32,
    pub keeper: ProcessId,
    pub app: ProcessId,
    pub generation: u64,
    pub unit: String,
    pub spec: String,
    /// Unix time in ms.
    pub started_at: i64,
    /// systemd's name for this run, where it holds the app.
    #[serde(default)]
    pub invocation: Option<String>,
}

/// `asked.json`: who asked a unit of systemd to end; a keeper remembers it by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub unit: String,
    pub by: StopBy,
}

/// Who asked for a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopBy {
    /// A person, or a program on their behalf.
    User,
    /// Everything is being stopped.
    Down,
    /// It left the configuration.
    Left,
    /// It did not answer in time.
    NotReady,
    /// Nobody used it for long enough.
    Idle,
    /// SIGTERM came to the keeper.
    Signal,
    /// A later release's reason.
    #[serde(other)]
    Other,
}

/// `exit.json`: how the app ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub version: u32,
    pub generation: u64,
    pub unit: String,
    /// The exit code, if it exited.
    #[serde(default)]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Unix time in ms.
    pub at: i64,
    /// How long it ran.
    pub ran_ms: u64,
    /// Absent: nobody asked.
    #[serde(default)]
    pub asked: Option<StopBy>,
    /// Whether the grace ran out, or a kill was asked for.
    #[serde(default)]
    pub forced: bool,
    /// Output bytes that the disk did not take.
    #[serde(default)]
    pub dropped_bytes: u64,
    /// Processes that were left when the main one had ended, and were killed.
    #[serde(default)]
    pub killed: u32,
    /// Processes that could not be killed.
    #[serde(default)]
    pub left: u32,
}

/// One line from the keeper: the present state, sent on connect and at every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub kept: Kept,
    /// Whether a stop is under way.
    #[serde(default)]
    pub stopping: bool,
    #[serde(default)]
    pub dropped_bytes: u64,
    /// Present once it has ended.
    #[serde(default)]
    pub exit: Option<Exit>,
}

/// One line to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Order {
    /// SIGTERM now, SIGKILL to whatever is left after the grace.
    Stop { grace_ms: u64, by: StopBy },
    /// SIGKILL to everything, now.
    Kill { by: StopBy },
    /// The end is known: the keeper need not wait until the disk takes it.
    Taken,
}

/// The first line on a keeper's standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hello {
    Running(Box<State>),
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by release 0.1.0: later releases must read it as it stands.
    const KEPT_1: &str = r#"{"version":1,"keeper":{"pid":41,"start_ticks":900,"boot_id":"b"},
        "app":{"pid":42,"start_ticks":901,"boot_id":"b"},"generation":3,
        "unit":"abababab/jupyterlab/3","spec":"5f","started_at":1700000000000}"#;
    const EXIT_1: &str = r#"{"version":1,"generation":3,"unit":"abababab/jupyterlab/3","code":1,
        "signal":null,"at":1700000000000,"ran_ms":3000,"asked":"user","forced":false,
        "dropped_bytes":0,"killed":0,"left":0}"#;

    #[test]
    fn the_files_of_the_first_release_are_read() {
        let kept: Kept = serde_json::from_str(KEPT_1).unwrap();
        assert_eq!((kept.generation, kept.app.pid), (3, 42));
        let exit: Exit = serde_json::from_str(EXIT_1).unwrap();
        assert_eq!((exit.code, exit.asked), (Some(1), Some(StopBy::User)));
    }

    #[test]
    fn fields_and_reasons_of_a_later_release_are_no_error() {
        let later = EXIT_1
            .replace("\"user\"", "\"full_moon\"")
            .replace("\"version\":1", "\"version\":9,\"oom\":true");
        let exit: Exit = serde_json::from_str(&later).unwrap();
        assert_eq!(exit.asked, Some(StopBy::Other));
    }

    #[test]
    fn orders_are_one_line_each() {
        let order = Order::Stop { grace_ms: 5, by: StopBy::Down };
        let line = serde_json::to_string(&order).unwrap();
        assert_eq!(line, r#"{"do":"stop","grace_ms":5,"by":"down"}"#);
    }
}
