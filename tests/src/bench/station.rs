//! A stationd of its own, in a temporary home, with the stand-in app behind it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, recv, socket};
use tempfile::TempDir;
use tokio::time::Instant;

use super::process::{self, Running};
use super::report::OURS;
use super::targets::{self, BASE, Target};

/// A running stationd; `stationctl down` ends it and its app when this is dropped.
#[derive(Debug)]
pub(super) struct Station {
    running: Running,
    home: TempDir,
    port: u16,
    tls: bool,
    cookie: Option<String>,
    /// From the start of the process to READY.
    pub(super) ready: Duration,
}

impl Station {
    /// Starts it with a fresh home and waits until it says READY.
    pub(super) fn start(tls: bool) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("st").tempdir()?;
        let port = process::free_port()?;
        let config = config(home.path(), port, tls)?;
        let file = home.path().join("stationd.toml");
        stationd::os::file::write_atomic(&file, config.as_bytes(), 0o600)?;
        let notify_path = home.path().join("notify");
        let notify = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        bind(std::os::fd::AsRawFd::as_raw_fd(&notify), &UnixAddr::new(&notify_path)?)?;
        let wait = nix::sys::time::TimeVal::new(30, 0);
        nix::sys::socket::setsockopt(&notify, nix::sys::socket::sockopt::ReceiveTimeout, &wait)?;
        let log = home.path().join("bench.log");
        let mut command = process::command(binary("stationd")?);
        command
            .env("STATIOND_HOME", home.path())
            .env("NOTIFY_SOCKET", &notify_path)
            .env_remove("STATIOND_LISTEN");
        let begun = Instant::now();
        let running = Running::start(&mut command, &log)?;
        let mut message = [0; 512];
        loop {
            let length = recv(
                std::os::fd::AsRawFd::as_raw_fd(&notify),
                &mut message,
                nix::sys::socket::MsgFlags::empty(),
            )
            .with_context(|| {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                format!("stationd did not say READY:\n{log}")
            })?;
            let message = message.get(..length).unwrap_or_default();
            if String::from_utf8_lossy(message).contains("READY=1") {
                break;
            }
        }
        Ok(Self { running, home, port, tls, cookie: None, ready: begun.elapsed() })
    }

    /// Opens a browser session by a login link, and waits until the app answers through it.
    pub(super) fn log_in(&mut self) -> anyhow::Result<()> {
        let link = self.stationctl(&["login", "--app", "jupyterlab", "--print"])?;
        let answer = process::output(curl().arg("--include").arg(link.trim()))?;
        let cookie = answer
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let (cookie, _attributes) = value.split_once(';')?;
                name.eq_ignore_ascii_case("set-cookie").then(|| cookie.trim().to_owned())
            })
            .with_context(|| format!("the login link gave no cookie:\n{answer}"))?;
        self.cookie = Some(cookie.clone());
        let url = format!("{}{BASE}small", self.target().http_url());
        process::wait_until("the app behind stationd", || {
            let mut request = curl();
            request.arg("--fail").arg("--cookie").arg(&cookie).arg(&url);
            process::output(&mut request).is_ok_and(|body| body.len() == 128)
        })
    }

    /// Only the daemon counts: its keeper and the app are no part of a request's way.
    pub(super) fn target(&self) -> Target {
        Target {
            name: OURS,
            port: self.port,
            tls: self.tls,
            cookie: self.cookie.clone(),
            pids: vec![self.running.pid()],
        }
    }

    pub(super) fn daemon(&self) -> i32 {
        self.running.pid()
    }

    /// stationd and its keepers, by program and home.
    pub(super) fn roles(&self) -> anyhow::Result<Vec<i32>> {
        Ok(process::of_home(&binary("stationd")?, self.home.path()))
    }

    fn stationctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = process::command(binary("stationctl")?);
        command.env("STATIOND_HOME", self.home.path()).env_remove("STATIOND_SOCKET");
        process::output(command.args(arguments))
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        // The app and its keeper are no children of stationd: only `down` ends them.
        if let Err(error) = self.stationctl(&["down"]) {
            super::say(&format!("stationctl down: {error:#}"));
        }
        let ended = process::wait_until("stationd ends", || self.running.ended());
        if let Err(error) = ended {
            super::say(&format!("{error:#}"));
        }
    }
}

fn config(folder: &Path, port: u16, tls: bool) -> anyhow::Result<String> {
    let command = binary("fake-jupyter")?;
    let listen = if tls {
        let (certificate, key) = targets::certificate(folder)?;
        format!(
            "tls = \"files\"\ntls_certificate = \"{}\"\ntls_key = \"{}\"\n",
            certificate.display(),
            key.display()
        )
    } else {
        String::new()
    };
    Ok(format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n{listen}\n\
         [[app]]\nname = \"jupyterlab\"\nkind = \"jupyterlab\"\ncommand = \"{}\"\n",
        command.display()
    ))
}

/// A binary that was built together with this one.
pub(super) fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let path = process::binaries()?.join(name);
    anyhow::ensure!(path.exists(), "{} is missing: scripts/bench builds it", path.display());
    Ok(path)
}

fn curl() -> std::process::Command {
    let mut command = process::command("curl");
    command.args(["--silent", "--insecure", "--max-time", "5"]);
    command
}
