//! Why something ended, with the evidence and what to do next.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// What kind of end it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// It ended by itself, with an exit code.
    Exit,
    /// A signal ended it that stationd did not send.
    Signal,
    /// It could not be started at all.
    StartFailed,
    /// It ran but did not answer in time.
    NotReady,
    /// The system killed it for want of memory.
    OutOfMemory,
    /// Somebody asked for the stop.
    UserStop,
    /// It had been idle for as long as the configuration says.
    IdleStop,
    /// Its keeper ended, so nobody saw how the program ended.
    KeeperLost,
    /// Nobody knows: an unknown end is never reported as exit code 0.
    Unknown,
}

/// Why something ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    pub kind: CauseKind,
    /// When it was noticed.
    pub at: Time,
    /// One sentence for a person, such as `exit code 1 after 3 s`.
    pub message: String,
    /// The exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal's number, if one ended it; see signal(7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The last lines that it wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
}
