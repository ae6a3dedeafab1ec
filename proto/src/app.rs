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
