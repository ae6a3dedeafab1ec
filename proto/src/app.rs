//! Apps: Jupyter, JupyterLab, RStudio and custom web apps.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cause::Cause;
use crate::time::Time;

/// What an app is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppPhase {
    /// Not running, and not wanted.
    Stopped,
    /// Started, not yet answering.
    Starting,
    /// Running and answering.
    Ready,
    /// Running, but its probe fails.
    Degraded,
    /// It ended; the next start waits for the back-off.
    Backoff,
    /// It ended too often; it is tried again every few minutes and at once on request.
    Failed,
    /// Being stopped.
    Stopping,
    /// It cannot be started on this machine: a program is missing.
    Unavailable,
}

/// An app as `GET /v1/apps/NAME` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct App {
    pub name: String,
    /// `jupyterlab`, `jupyter`, `rstudio` or `custom`.
    pub kind: String,
    pub phase: AppPhase,
    /// Since when it has been in this phase.
    pub since: Time,
    /// The path to open in a browser, below the public URL.
    pub path: String,
    /// Whether it should be running.
    pub wanted: bool,
    /// Counts the starts; 0 before the first.
    pub generation: u64,
    /// The process id of the app's main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Kernels that a stop would end; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<u32>,
    /// Unwanted ends since it was last ready for five minutes.
    pub failures: u32,
    /// When the next start is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Time>,
    /// One sentence on what is going on.
    pub message: String,
    /// How it ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end: Option<Cause>,
    /// The last of its kernels that ended, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_ends: Vec<KernelEnd>,
    /// The app whose server this is another view of: stopping one ends both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
}

/// A kernel that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KernelEnd {
    /// Jupyter's id of it.
    pub kernel: String,
    /// The notebook that it belonged to, below the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub cause: Cause,
}

/// The answer of `GET /v1/apps/NAME/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppLogs {
    pub name: String,
    /// Oldest first; values of secrets are replaced by `…`.
    pub lines: Vec<String>,
    /// Bytes that were dropped because the disk did not take them.
    pub dropped_bytes: u64,
}

/// Whether something is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivityState {
    Active,
    Idle,
    /// It cannot be known, and counts as active.
    Unknown,
}

/// What says whether an app is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A kernel of Jupyter.
    Kernel,
    Terminal,
    /// A session of RStudio.
    RSession,
    /// Everything that runs below the app.
    Processes,
    /// Requests and messages of people and of programs on their behalf.
    Use,
}

/// One source, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivitySource {
    pub kind: SourceKind,
    /// A notebook, a terminal, a process.
    pub name: String,
    pub state: ActivityState,
    /// Since when it has been idle, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// One sentence: what shows it.
    pub evidence: String,
}

/// The answer of `GET /v1/apps/NAME/activity`. An app is active as long as one source is, and idle
/// only if all are; what is unknown counts as active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppActivity {
    pub name: String,
    /// When it was last looked at: every ten seconds.
    pub at: Time,
    pub state: ActivityState,
    /// Since when it has been idle, if it is; at the earliest since stationd has watched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Time>,
    /// When `idle_stop_minutes` will have passed, if nothing happens before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_at: Option<Time>,
    pub sources: Vec<ActivitySource>,
}
