//! Canaries: small real jobs that show whether a workstation works, done when somebody asks.
//!
//! ```text
//!   kernel     an app's token ─► public listener ─► proxy ─► Jupyter ─► 1+1
//!   share      a process of its own: write, flush, read back, delete
//!   container  an image of 150 bytes is imported, runs, and its output comes back
//!   gpu        a process of its own: a context, 1 MiB to the GPU and back
//! ```
//!
//! They run as whoever asks, so they find out what that user would. Invariants: each ends within its
//! limit, whatever hangs hangs in a process of its own, and nothing of them is left.

pub mod container;
pub mod cuda;
pub mod kernel;
pub mod share;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::os::command::{self, CommandError, Program};

/// Why a canary is not done: there is nothing to try, or it may not be tried.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Skipped(pub String);

/// Runs a program as a step of a canary; on failure its last line says why.
async fn step(program: &Path, arguments: &[&str], limit: Duration) -> Result<String, StepError> {
    let kept = ["PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR"];
    let kept = kept.into_iter().chain([cuda::LIBRARY, "STATIOND_FAKE_NVML"]);
    let environment: BTreeMap<String, String> =
        kept.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect();
    let wanted = Program {
        program: program.to_owned(),
        arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
        environment,
        folder: PathBuf::from("/"),
        account: None,
    };
    let output = command::run_as(&wanted, limit, |_| false).await.map_err(StepError::Run)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.success {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().chain(said.lines()).rfind(|line| !line.trim().is_empty());
    let last = last.map_or("it says nothing", str::trim);
    Err(StepError::Failed(last.strip_prefix("stationctl: ").unwrap_or(last).to_owned()))
}

/// Why a step of a canary failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("{0}")]
    Failed(String),
    #[error("it could not be run")]
    Run(#[source] CommandError),
}
