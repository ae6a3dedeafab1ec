//! A workstation of its own for one test: a home, the real `stationd` in it, and ways to talk to it.
//!
//! The home lies in a short path, because socket paths are limited to 107 bytes. When the station
//! is dropped, every process that was started for the home is killed; when a test fails, what
//! stationd printed is shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::{Either, select};
use nix::sys::signal::Signal;
use station_proto::app::AppPhase;
use stationd::os::file::write_atomic;
use stationd::os::process::signal;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::Child;

use crate::admin::{APP_START, Admin};
use crate::held::Held;
use crate::host::Files;
use crate::process::{self, Output};
use crate::{jupyter, share, standin};

/// How long stationd may take to be ready, on a loaded machine.
const START: Duration = Duration::from_secs(20);

/// What takes JupyterLab's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// The real one.
    JupyterLab,
    /// [`standin`]
    StandIn,
    /// No `[[app]]` at all in the file.
    None,
}

/// A station that runs, ran or will run; it can be asked what its [`Admin`] can.
#[derive(Debug)]
pub struct Station {
    folder: TempDir,
    machine: Files,
    admin: Admin,
    child: Option<Child>,
    /// The address of the first start, so that a second one is found where the first was.
    listen: Option<String>,
    /// Further variables for stationd.
    pub environment: Vec<(String, String)>,
    /// Listeners that are passed to each stationd.
    pub held: Option<Held>,
    /// How many descriptors stationd may have, where that is few.
    pub descriptors: Option<usize>,
}

impl Station {
    /// A home with a configuration: the app, and `more` TOML before it. Nothing is started.
    pub fn prepare(app: App, more: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("s").rand_bytes(5).tempdir_in("/tmp")?;
        let station = Self {
            admin: Admin::at(folder.path().join("h/run/admin.sock")),
            machine: Files::well(&folder.path().join("m"))?,
            folder,
            child: None,
            listen: None,
            environment: Vec::new(),
            held: None,
            descriptors: None,
        };
        fs::create_dir(station.home())?;
        standin::prepare(station.folder())?;
        let command = match app {
            App::JupyterLab => Some(jupyter::lab().context(jupyter::MISSING)?),
            App::StandIn => Some(process::binary("misbehaving-app")?),
            App::None => None,
        };
        let app = command.map_or_else(String::new, |command| {
            let command = command.canonicalize().unwrap_or(command);
            let command = toml::Value::String(command.display().to_string());
            format!("[[app]]\nname = \"jupyterlab\"\nkind = \"jupyterlab\"\ncommand = {command}\n")
        });
        station.configure(&format!("{more}\n{app}"))?;
        Ok(station)
    }

    /// A running station.
    pub async fn start(app: App, more: &str) -> Result<Self> {
        let mut station = Self::prepare(app, more)?;
        station.launch().await?;
        Ok(station)
    }

    /// A running station whose app answers.
    pub async fn with_app(app: App) -> Result<Self> {
        let station = Self::start(app, "").await?;
        station.app_in(AppPhase::Ready).await?;
        // The workspace has been looked at too: nothing changes any more by itself.
        station.wait_for("ready", APP_START, |heartbeat| heartbeat.status.ready).await?;
        Ok(station)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The machine that it sees.
    pub fn machine(&self) -> &Files {
        &self.machine
    }

    pub fn home(&self) -> PathBuf {
        self.folder().join("h")
    }

    /// What stationd printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("stationd.log")
    }

    /// Replaces `stationd.toml`.
    pub fn configure(&self, toml: &str) -> Result<()> {
        Ok(write_atomic(&self.home().join("stationd.toml"), toml.as_bytes(), 0o644)?)
    }

    /// Holds the listeners from now on: `public` is an address, port 0 any that is free.
    pub fn hold(&mut self, public: &str) -> Result<()> {
        let held = Held::listen(public, self.socket())?;
        self.listen = Some(held.address()?.to_string());
        self.held = Some(held);
        Ok(())
    }

    /// Starts stationd and waits for its READY.
    pub async fn launch(&mut self) -> Result<()> {
        self.launch_told().await.map(drop)
    }

    /// The same; what stationd tells systemd from then on comes from the socket.
    pub async fn launch_told(&mut self) -> Result<UnixDatagram> {
        let notify = self.folder().join("notify");
        drop(fs::remove_file(&notify));
        let ready = UnixDatagram::bind(&notify)?;
        let mut command = self.stationd()?;
        command.env("NOTIFY_SOCKET", &notify);
        if self.held.is_some() {
            let log = fs::File::options().create(true).append(true).open(self.log_file())?;
            command.stderr(log);
        } else {
            process::log_to(&mut command, &self.log_file())?;
        }
        let log = self.log_file();
        let child = self.child.insert(command.spawn()?);
        ready_or_ended(&ready, child, &log).await?;
        if self.listen.is_none() {
            let url = self.heartbeat().await?.status.public_url;
            self.listen = url.split_once("://").map(|(_, address)| address.to_owned());
        }
        Ok(ready)
    }

    /// `stationd` for this home, not yet started.
    pub fn stationd(&self) -> Result<tokio::process::Command> {
        let program = process::binary("stationd")?;
        let mut command = match (&self.held, self.descriptors) {
            (Some(held), _) => held.pass(&program)?,
            (None, Some(count)) => process::with_descriptors(&program, count),
            (None, None) => process::command(&program),
        };
        command.env("STATIOND_HOME", self.home());
        command.env("STATIOND_MACHINE", self.machine.folder());
        command.env("STATIOND_LISTEN", self.listen.as_deref().unwrap_or("127.0.0.1:0"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs `stationd` where it is expected to end by itself.
    pub async fn stationd_that_ends(&self) -> Result<Output> {
        process::run(self.stationd()?, START).await
    }

    /// Runs `stationctl`.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = process::command(&process::binary("stationctl")?);
        command.arg("--home").arg(self.home()).args(arguments);
        process::run(command, Duration::from_secs(60)).await
    }

    /// Runs `stationctl --json` and reads what it printed.
    pub async fn ctl_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let output = self.ctl(&[&["--json"], arguments].concat()).await?;
        ensure!(output.status.success(), "stationctl {arguments:?}: {}", output.all());
        serde_json::from_str(&output.stdout).context(output.stdout)
    }

    pub fn pid(&self) -> Result<i32> {
        let pid = self.child.as_ref().and_then(Child::id).context("stationd does not run")?;
        Ok(i32::try_from(pid)?)
    }

    /// `kill -9`, and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("stationd does not run")?;
        Ok(child.kill().await?)
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> Result<std::process::ExitStatus> {
        signal(self.pid()?, Signal::SIGTERM)?;
        self.ended().await
    }

    /// Waits until stationd has ended by itself.
    pub async fn ended(&mut self) -> Result<std::process::ExitStatus> {
        let mut child = self.child.take().context("stationd does not run")?;
        let limit = Duration::from_secs(60);
        Ok(tokio::time::timeout(limit, child.wait()).await.context("stationd does not end")??)
    }

    /// Makes every login link, session and token of a stopped station older, as if the machine had been
    /// started again after this time; `since` makes the logins themselves older.
    pub fn age(&self, unused: Duration, since: Duration) -> Result<()> {
        let database = rusqlite::Connection::open(self.home().join("state/stationd.db"))?;
        let (unused, since) =
            (i64::try_from(unused.as_millis())?, i64::try_from(since.as_millis())?);
        let sql = "UPDATE identity_link SET boot = 'earlier', wall_ms = wall_ms - ?1";
        database.execute(sql, [unused])?;
        let sql = "UPDATE identity_session SET boot = 'earlier', wall_ms = wall_ms - ?1, \
                   age_ms = age_ms + ?2, since_ms = since_ms - ?1 - ?2";
        database.execute(sql, [unused, since])?;
        let sql = "UPDATE identity_token SET boot = 'earlier', wall_ms = wall_ms - ?1";
        database.execute(sql, [unused])?;
        Ok(())
    }
}

impl std::ops::Deref for Station {
    type Target = Admin;

    fn deref(&self) -> &Admin {
        &self.admin
    }
}

/// Waits for READY; an end instead is an error with what was printed.
async fn ready_or_ended(ready: &UnixDatagram, child: &mut Child, log: &Path) -> Result<()> {
    let told = async {
        let mut text = [0; 4096];
        loop {
            let length = ready.recv(&mut text).await?;
            let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
            if text.lines().any(|line| line == "READY=1") {
                return Ok::<(), std::io::Error>(());
            }
        }
    };
    let log = || fs::read_to_string(log).unwrap_or_default();
    let (told, ended) = (std::pin::pin!(told), std::pin::pin!(child.wait()));
    match tokio::time::timeout(START, select(told, ended)).await {
        Ok(Either::Left((told, _))) => Ok(told?),
        Ok(Either::Right((status, _))) => bail!("stationd ended: {}\n{}", status?, log()),
        Err(_elapsed) => bail!("stationd was not ready within {START:?}\n{}", log()),
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "whoever runs the tests must see it")]
            {
                eprintln!("--- stationd of the failed test ---\n{}", self.log());
            }
        }
        if let Some(child) = &mut self.child {
            drop(child.start_kill());
        }
        process::end_all(self.folder());
        // Only now: nobody mounts anything again.
        share::clear(self.folder());
    }
}
