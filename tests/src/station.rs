//! A workstation of its own for one test: a home, the real `stationd` in it, and ways to talk to it.
//!
//! The home lies in a short path, because socket paths are limited to 107 bytes. When the station
//! is dropped, every process that was started for the home is killed; when a test fails, what
//! stationd printed is shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use nix::sys::signal::Signal;
use station_proto::app::AppPhase;
use station_proto::heartbeat::Heartbeat;
use stationd::os::file::write_atomic;
use stationd::os::process::signal;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::Child;

use crate::held::Held;
use crate::http::Client;
use crate::process::{self, Output};
use crate::{jupyter, standin};

/// How long stationd may take to be ready, on a loaded machine.
const START: Duration = Duration::from_secs(20);
/// How long an app may take to answer, on a loaded machine.
pub const APP_START: Duration = Duration::from_secs(90);
const ANSWER_MAX: usize = 4 * 1024 * 1024;

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

/// A station that runs, ran or will run.
#[derive(Debug)]
pub struct Station {
    folder: TempDir,
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
        let environment = Vec::new();
        let station =
            Self { folder, child: None, listen: None, environment, held: None, descriptors: None };
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
        Ok(station)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self) -> PathBuf {
        self.folder().join("h")
    }

    pub fn socket(&self) -> PathBuf {
        self.home().join("run/admin.sock")
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
        let held = Held::listen(public, &self.socket())?;
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

    /// A request on the admin socket.
    pub async fn admin(&self, method: Method, path: &str, body: &str) -> Result<Response<Bytes>> {
        self.admin_with(method, path, body, &[]).await
    }

    /// The same with header fields.
    pub async fn admin_with(
        &self,
        method: Method,
        path: &str,
        body: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Result<Response<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "stationd")
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
        let limit = Duration::from_secs(60);
        let socket = self.socket();
        Ok(stationd::os::http::exchange(&socket, request, ANSWER_MAX, limit).await?)
    }

    pub async fn heartbeat(&self) -> Result<Heartbeat> {
        let answer = self.admin(Method::GET, "/v1/heartbeat", "").await?;
        ensure!(answer.status() == StatusCode::OK, "heartbeat: {answer:?}");
        Ok(serde_json::from_slice(answer.body())?)
    }

    /// Waits on the heartbeat until it shows what is wanted; stationd may restart meanwhile.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Heartbeat) -> bool,
    ) -> Result<Heartbeat> {
        let watch = async {
            let mut tag = String::new();
            loop {
                let known = [(header::IF_NONE_MATCH, tag.as_str())];
                let answer = self.admin_with(Method::GET, "/v1/heartbeat?wait=5", "", &known).await;
                let Ok(answer) = answer else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                if answer.status() == StatusCode::NOT_MODIFIED {
                    continue;
                }
                let heartbeat: Heartbeat = serde_json::from_slice(answer.body())?;
                if wanted(&heartbeat) {
                    return Ok(heartbeat);
                }
                let next = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
                next.unwrap_or_default().clone_into(&mut tag);
            }
        };
        match tokio::time::timeout(limit, watch).await {
            Ok(found) => found,
            Err(_elapsed) => {
                let last = self.heartbeat().await.map(|last| last.status);
                bail!("{what}: not within {limit:?}; last: {last:#?}")
            }
        }
    }

    /// Waits until the app is in `phase`.
    pub async fn app_in(&self, phase: AppPhase) -> Result<station_proto::app::App> {
        let what = format!("app {phase:?}");
        let heartbeat = self
            .wait_for(&what, APP_START, |heartbeat| {
                heartbeat.status.apps.iter().any(|app| app.phase == phase)
            })
            .await?;
        heartbeat.status.apps.into_iter().find(|app| app.phase == phase).context(what)
    }

    /// A browser without a session.
    pub async fn client(&self) -> Result<Client> {
        Client::new(&self.heartbeat().await?.status.public_url)
    }

    /// A new login link, as the path that a browser opens.
    pub async fn login_path(&self, next: &str) -> Result<String> {
        let body = serde_json::json!({ "next": next }).to_string();
        let answer = self.admin(Method::POST, "/v1/login-links", &body).await?;
        ensure!(answer.status().is_success(), "login link: {answer:?}");
        let link: station_proto::api::LoginLink = serde_json::from_slice(answer.body())?;
        let at = link.url.find("/login/").context("the link has no /login/")?;
        Ok(link.url.get(at..).unwrap_or_default().to_owned())
    }

    /// A browser with a session.
    pub async fn login(&self) -> Result<Client> {
        let client = self.client().await?;
        self.log_in(&client).await?;
        Ok(client)
    }

    /// Gives a browser a session.
    pub async fn log_in(&self, client: &Client) -> Result<()> {
        let path = self.login_path("/").await?;
        client.page(&path).await?.expect(303)?;
        Ok(())
    }

    /// Makes every login link and session of a stopped station older, as if the machine had been
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
        Ok(())
    }

    /// The events after `after`, through the admin socket.
    pub async fn events(&self, after: u64) -> Result<Vec<station_proto::event::Event>> {
        let path = format!("/v1/events?after={after}");
        let answer = self.admin(Method::GET, &path, "").await?;
        let text = std::str::from_utf8(answer.body())?;
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).context(line.to_owned()))
            .collect()
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
    }
}
