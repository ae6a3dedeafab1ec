//! Holds the one process that asks the GPUs.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Child;

use super::{GpuError, gpu};
use crate::os::command::{self, Program};

/// How long the process from before may take to end.
const END: Duration = Duration::from_secs(1);
/// What the process gets of our environment: where the library is, and what tests put in its place.
const PASSED_ON: [&str; 4] =
    ["LD_LIBRARY_PATH", "STATIOND_NVML", "STATIOND_MACHINE", "STATIOND_FAKE_NVML"];

#[derive(Debug, Default)]
pub(super) struct GpuChild {
    child: Option<Child>,
}

impl GpuChild {
    /// Ends the process from before, and starts one on `connection`.
    pub(super) async fn start(
        &mut self,
        program: &Path,
        ask: &gpu::Ask,
        connection: UnixStream,
    ) -> Result<(), GpuError> {
        self.end().await?;
        let asks = asks(program, ask);
        let child = command::start_speaking(&asks, connection.into()).map_err(GpuError::Start)?;
        self.child = Some(child);
        Ok(())
    }

    async fn end(&mut self) -> Result<(), GpuError> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if let Err(error) = child.start_kill() {
            tracing::debug!(%error, "the process that asks the GPUs cannot be killed");
        }
        if tokio::time::timeout(END, child.wait()).await.is_err() {
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
            return Err(GpuError::Stuck { pid });
        }
        self.child = None;
        Ok(())
    }
}

fn asks(program: &Path, ask: &gpu::Ask) -> Program {
    let ask = serde_json::to_string(ask).unwrap_or_default();
    let ours = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    Program {
        program: program.to_owned(),
        arguments: vec!["probe".to_owned(), "gpu".to_owned(), ask],
        environment: PASSED_ON.into_iter().filter_map(ours).collect(),
        folder: PathBuf::from("/"),
        account: None,
    }
}
