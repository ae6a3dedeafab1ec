//! What an attendant says: the formats between it and stationd, which may be of another release.
//! Fields are only added, each with a default; readers ignore what they do not know.

use serde::{Deserialize, Serialize};

pub use crate::os::process::memory::Memory;

/// The question: what is there, and what has ended after `after`?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    #[serde(default)]
    pub after: u64,
}

/// What there is below the app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The value of `STATIOND_UNIT`: which run it is about.
    pub unit: String,
    /// The program's own process.
    pub pid: i32,
    #[serde(default)]
    pub kernels: Vec<Kernel>,
    #[serde(default)]
    pub terminals: Vec<Terminal>,
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// Time that the whole tree has spent on a CPU since its start.
    #[serde(default)]
    pub cpu_ms: u64,
    #[serde(default)]
    pub memory: Option<Memory>,
    #[serde(default)]
    pub ended: Vec<Ended>,
}

/// A Jupyter kernel that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Jupyter's id of it.
    pub id: String,
    pub pid: i32,
    pub cpu_ms: u64,
    pub memory_bytes: u64,
}

/// A shell on a terminal of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    pub pid: i32,
    /// What runs in its foreground, beside the shell itself.
    #[serde(default)]
    pub foreground: Option<String>,
}

/// An R session of RStudio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub pid: i32,
    /// With everything below it.
    pub cpu_ms: u64,
    /// Programs that it has started and that still run.
    pub below: u32,
    /// Whether R executes something, by the session's own word; absent: it has not said.
    #[serde(default)]
    pub executing: Option<bool>,
}

/// A kernel that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Grows with every end; see [`Question::after`].
    pub seq: u64,
    pub kernel: String,
    pub pid: i32,
    #[serde(default)]
    pub code: Option<i32>,
    #[serde(default)]
    pub signal: Option<i32>,
    /// Unix time in ms.
    pub at: i64,
    /// Its memory when it was last looked at, at most a second before.
    #[serde(default)]
    pub memory_bytes: u64,
    /// The kernel of the system has killed it for want of memory.
    #[serde(default)]
    pub oom: Option<Memory>,
}

/// `end.json`: why the app itself was killed, where only the attendant can know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWord {
    pub unit: String,
    pub oom: Memory,
}
