//! A container engine of the test's own: a real dockerd with its own folder, socket and images, and
//! without a network.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use stationd::os::process::signal;
use tempfile::TempDir;
use tokio::process::Child;

use crate::process;

/// What `skip` says where there is none.
pub const MISSING: &str = "dockerd is missing, or we are not root: apt-get install docker.io";
const PROGRAM: &str = "/usr/sbin/dockerd";
const LIMIT: Duration = Duration::from_secs(60);

/// Ends with this value.
#[derive(Debug)]
pub struct Engine {
    folder: TempDir,
    child: Child,
}

impl Engine {
    /// Starts one and waits until it answers; `None` where that is not possible.
    pub async fn start() -> Result<Option<Self>> {
        let program = PathBuf::from(PROGRAM);
        if !program.exists() || !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("d").tempdir_in("/tmp")?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut command = process::command(&program);
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec")]);
        command.args(["--pidfile", &at("pid"), "--host", &format!("unix://{}", at("s"))]);
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        process::log_to(&mut command, &folder.path().join("log"))?;
        let child = command.kill_on_drop(true).spawn()?;
        let mut engine = Self { folder, child };
        engine.answers().await?;
        Ok(Some(engine))
    }

    async fn answers(&mut self) -> Result<()> {
        let socket = self.folder.path().join("s");
        let log = self.folder.path().join("log");
        let child = &mut self.child;
        let connects = || {
            let ended = child.try_wait().ok().flatten();
            let open = std::os::unix::net::UnixStream::connect(&socket).is_ok();
            (open || ended.is_some()).then_some(ended)
        };
        let ended = process::eventually("dockerd answers", LIMIT, connects).await?;
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(ended.is_none(), "dockerd ended: {ended:?}\n{}", said());
        Ok(())
    }

    /// What `DOCKER_HOST` says.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    /// Runs docker's own client.
    pub async fn docker(&self, arguments: &[&str]) -> Result<process::Output> {
        let program = ["/usr/bin/docker", "/usr/local/bin/docker"].map(PathBuf::from);
        let program =
            program.into_iter().find(|file| file.exists()).context("docker is missing")?;
        let mut command = process::command(&program);
        command.args(arguments).env("DOCKER_HOST", self.host());
        process::run(command, LIMIT).await
    }

    /// Ends it and what it runs in order, so that nothing of it stays mounted.
    pub async fn stop(mut self) -> Result<()> {
        let pid =
            self.child.id().and_then(|pid| i32::try_from(pid).ok()).context("it has ended")?;
        signal(pid, Signal::SIGTERM)?;
        tokio::time::timeout(LIMIT, self.child.wait()).await.context("dockerd does not end")??;
        Ok(())
    }
}
