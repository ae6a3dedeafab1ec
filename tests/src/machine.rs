//! A machine of its own with a real systemd, for what is installed and booted.
//!
//! ```text
//!   Disk      an overlay on this machine's own `/`: nothing is copied, nothing here is changed
//!   Cgroups   a place of its own in every hierarchy, so that two machines cannot end each other's
//!   boot      systemd-nspawn with a network of its own (loopback alone) ─► systemd is PID 1
//!   run       nsenter by the process id of that PID 1
//! ```
//!
//! Everything ends with the test, also when it is killed: the mounts are the test thread's own, and
//! when that thread ends, the kernel tells systemd-nspawn, which powers the machine off (empty
//! folders are left then, in `/tmp` and of the control groups). So a machine belongs to the thread that
//! made it (`#[tokio::test]` has one), and after [`Machine::boot`] that thread is in the machine's
//! network: an ordinary client reaches its 127.0.0.1.

mod cgroups;
mod disk;
pub mod setup;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use stationd::os::process::signal;
use tokio::process::{Child, Command};

use crate::admin::Admin;
use crate::process::{self, Output};

use self::cgroups::Cgroups;
use self::disk::Disk;

/// Longest wait for one command inside, for a boot and for an end.
const LIMIT: Duration = Duration::from_secs(120);
/// With this systemd-nspawn says that the machine wants to be started again.
const REBOOT: i32 = 133;
/// Mount drivers need it, and systemd-nspawn does not give it by itself.
const FUSE: &str = "/dev/fuse";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A machine that runs.
#[derive(Debug)]
pub struct Machine {
    /// Ends before its disk does.
    running: Option<Running>,
    disk: Disk,
    /// stationd's, once it is installed.
    pub admin: Admin,
}

#[derive(Debug)]
struct Running {
    nspawn: Child,
    /// PID 1 inside, as it is called here.
    leader: i32,
    cgroups: Cgroups,
}

impl Machine {
    /// A fresh machine that has booted.
    pub async fn boot() -> Result<Self> {
        let disk = Disk::new()?;
        let admin = Admin::at(PathBuf::new());
        let mut machine = Self { running: None, disk, admin };
        machine.start().await?;
        Ok(machine)
    }

    /// Reads and writes the machine's files from here; `path` as it is called inside. What lies on
    /// a file system of the running machine (`/run`, `/tmp`) is there too.
    pub fn path(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/');
        match &self.running {
            Some(running) => PathBuf::from(format!("/proc/{}/root", running.leader)).join(path),
            None => self.disk.root().join(path),
        }
    }

    /// Puts a copy of a file of this machine inside.
    pub fn copy_in(&self, file: &Path, path: &str) -> Result<()> {
        std::fs::copy(file, self.path(path)).with_context(|| file.display().to_string())?;
        Ok(())
    }

    /// Runs a line of shell as root.
    pub async fn run(&self, line: &str) -> Result<Output> {
        process::run(self.inside(line)?, LIMIT).await
    }

    /// The same; it must end with 0. Gives what it printed.
    pub async fn must(&self, line: &str) -> Result<String> {
        let output = self.run(line).await?;
        ensure!(output.status.success(), "{line}: {}: {}", output.status, output.all());
        Ok(output.stdout.trim_end().to_owned())
    }

    /// One property of a unit: `ActiveState`, `MainPID`, `NRestarts`, ...
    pub async fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.must(&format!("systemctl show --value --property={name} {unit}")).await
    }

    /// The main process of a unit, as it is called inside; 0 if none runs.
    pub async fn main_pid(&self, unit: &str) -> Result<i32> {
        Ok(self.property(unit, "MainPID").await?.parse()?)
    }

    /// What a unit wrote to the journal.
    pub async fn journal(&self, unit: &str) -> Result<String> {
        self.must(&format!("journalctl --no-pager --output=cat --unit={unit}")).await
    }

    /// The real one: systemd inside is asked for it, and the machine boots from the same disk.
    pub async fn reboot(&mut self) -> Result<()> {
        let status = self.end("systemctl reboot").await?;
        ensure!(status == Some(REBOOT), "the machine ended with {status:?}");
        self.start().await
    }

    /// Powers off; the disk stays until this value goes.
    pub async fn power_off(&mut self) -> Result<()> {
        let status = self.end("systemctl poweroff").await?;
        ensure!(status == Some(0), "the machine ended with {status:?}");
        Ok(())
    }

    async fn end(&mut self, how: &str) -> Result<Option<i32>> {
        let output = self.run(how).await?;
        // The answer may be cut off by what was asked for.
        let mut running = self.running.take().context("the machine does not run")?;
        match tokio::time::timeout(LIMIT, running.nspawn.wait()).await {
            Ok(status) => Ok(status?.code()),
            Err(_elapsed) => bail!("{how}: the machine does not end: {}", output.all()),
        }
    }

    async fn start(&mut self) -> Result<()> {
        let cgroups = Cgroups::new(self.disk.name())?;
        let mut command = cgroups.starting("systemd-nspawn");
        command.arg("--directory").arg(self.disk.root());
        command.arg(format!("--machine={}", self.disk.name()));
        command.args(["--boot", "--register=no", "--keep-unit", "--private-network"]);
        command.args(["--link-journal=no", "--console=pipe", "--quiet"]);
        if Path::new(FUSE).exists() {
            command.arg(format!("--bind={FUSE}"));
        }
        for folder in disk::jupyter_folders() {
            command.arg(format!("--bind-ro={}", folder.display()));
        }
        process::log_to(&mut command, &self.disk.console())?;
        let nspawn = command.kill_on_drop(true).spawn()?;
        let mut running = Running { nspawn, leader: 0, cgroups };
        running.leader = running.find_leader().await.with_context(|| self.disk.said())?;
        self.admin =
            Admin::at(format!("/proc/{}/root/run/stationd/admin.sock", running.leader).into());
        let network = format!("/proc/{}/ns/net", running.leader);
        self.running = Some(running);
        self.booted().await.with_context(|| self.disk.said())?;
        // Not before: systemd-nspawn gives its child the network of its own late.
        setns(std::fs::File::open(network)?, CloneFlags::CLONE_NEWNET).context("the network")
    }

    /// Until systemd has nothing more to start.
    async fn booted(&self) -> Result<()> {
        let ready = self.path("/run/systemd/private");
        process::eventually("systemd answers", LIMIT, || ready.exists().then_some(())).await?;
        let state = self.run("systemctl is-system-running --wait").await?;
        let state = state.stdout.trim();
        if state == "running" {
            return Ok(());
        }
        let failed = self.must("systemctl list-units --failed --plain --no-legend").await?;
        // A unit of ours that fails is for the test to judge.
        ensure!(
            state == "degraded" && failed.lines().all(|line| line.starts_with("stationd")),
            "the machine is {state}: {failed}"
        );
        Ok(())
    }

    fn inside(&self, line: &str) -> Result<Command> {
        let running = self.running.as_ref().context("the machine does not run")?;
        let mut command = process::command(Path::new("nsenter"));
        command.arg(format!("--target={}", running.leader));
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]);
        command.args(["/bin/sh", "-c", line]);
        command.env_clear().env("PATH", PATH).env("HOME", "/").env("LANG", "C.UTF-8");
        Ok(command)
    }
}

impl Running {
    /// The child of systemd-nspawn that is PID 1 in a namespace of its own.
    async fn find_leader(&mut self) -> Result<i32> {
        let pid = self.nspawn.id().context("systemd-nspawn has ended")?;
        let children = format!("/proc/{pid}/task/{pid}/children");
        let leads = |pid: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            ids.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("1"))
                && process::command_line(*pid).contains("systemd")
        };
        let found = process::eventually("a PID 1", LIMIT, || {
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            let mut pids = text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
            if let Some(pid) = pids.find(leads) {
                return Some(Ok(pid));
            }
            let ended = self.nspawn.try_wait().ok().flatten()?;
            Some(Err(anyhow!("systemd-nspawn ended: {ended}")))
        });
        found.await?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.leader > 0 {
            // With its PID 1 everything inside ends.
            drop(signal(self.leader, Signal::SIGKILL));
        }
        drop(self.nspawn.start_kill());
        self.cgroups.remove();
    }
}
