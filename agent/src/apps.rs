//! Apps: web applications that stationd starts, watches, restarts and stops.
//!
//! ```text
//!  recovering ─► stopped ◄───────────────── stopping ◄── stop, down, not ready in 60 s
//!      │            │ start, wanted            │   ▲
//!      │            ▼                          │   │
//!      │         finding ──► unavailable       │   │   every 30 s, or at once on request
//!      │            │ found       (looks again)│   │
//!      │            ▼                          │   │
//!      │        launching ─► starting ─► ready ┴───┤
//!      └─(found running)────────▲         │ ▲      │   3 questions without an answer,
//!                   ▲           │         ▼ │      │   and back with the next answer
//!                   │           │       degraded ──┘
//!                   │           └ ended ──┐
//!              backoff ◄── unwanted end ──┴─► failed      6 unwanted ends in 10 minutes:
//!              0.5 s x 2^n, at most 60 s                  every 5 minutes, at once on request
//! ```
//!
//! Invariants: there is never a second instance of an app; at most eight starts a minute; every end
//! is recorded with a cause; a start is on disk before it is made; a stop never waits for the disk;
//! the end of stationd ends no app, and the next one finds it again.
//!
//! Not here: what is started (`privileged::recipe`), and who may reach an app (`front`, `proxy`).

mod cause;
mod launcher;
mod logs;
mod look;
mod slot;
mod state;
mod store;
mod task;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use station_proto::app::{ActivityState, AppActivity, AppPhase, KernelEnd};
use station_proto::cause::Cause;
use station_proto::time::Time;
use tokio::sync::{mpsc, oneshot, watch};

use crate::base::ids::AppName;
use crate::base::limits;
use crate::base::moment::Moment;
use crate::base::tasks::Tasks;
use crate::os::clock;
use crate::privileged::{Kind, Privileged, Refusal, RootConfig};
use crate::store::Store;

use launcher::Launcher;
use look::uses::Uses;

pub use logs::LogError;
pub use look::uses::Use;
pub use store::FEATURE;

/// When an app is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOn {
    /// With stationd.
    Boot,
    /// With the first request for it.
    Demand,
}

/// What apps stand on: the folder that they work in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    Ready,
    /// The share is on its way: no app starts.
    Waiting(String),
    /// It has been away for too long: apps start on the local folder.
    Scratch,
}

/// One app of the configuration. What it runs stands in the privileged side's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub name: AppName,
    pub start: StartOn,
    /// It is stopped after so long without activity.
    pub idle_stop: Option<Duration>,
    /// It has no server of its own: it is another view of this app's.
    pub shares: Option<AppName>,
}

impl Spec {
    /// An app that runs and that the configuration does not have.
    fn of_left_over(name: &AppName) -> Self {
        Self { name: name.clone(), start: StartOn::Demand, idle_stop: None, shares: None }
    }
}

/// What an app is doing, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    pub kernels: u32,
    /// Kernels that compute or start.
    pub busy: u32,
}

/// A kernel that runs, and the notebook that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notebook {
    pub pid: i32,
    pub path: String,
}

/// What an app gets of the path of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gets {
    Whole,
    /// What comes after its prefix.
    Rest,
}

/// Everything that is known of an app.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub name: AppName,
    /// As the configuration writes it.
    pub kind: &'static str,
    pub phase: AppPhase,
    pub since: Moment,
    pub wanted: bool,
    /// Counts the starts; 0 before the first.
    pub generation: u64,
    pub pid: Option<i32>,
    pub failures: u32,
    pub next_start: Option<Time>,
    pub message: String,
    pub last_end: Option<Cause>,
    /// Absent: unknown, which counts as active.
    pub activity: Option<Activity>,
    /// Its kernels that run and that belong to a notebook.
    pub notebooks: Vec<Notebook>,
    /// The last of its kernels that ended, oldest first.
    pub kernel_ends: Vec<KernelEnd>,
    /// It runs as an older configuration says; a restart makes it new.
    pub restart_pending: bool,
    /// It is stopped, and a request for it starts it.
    pub on_demand: bool,
    /// Output bytes of the present run that the disk did not take.
    pub dropped_bytes: u64,
    /// Where it listens.
    pub socket: PathBuf,
    /// Who must be at the other end of that socket.
    pub uid: u32,
    /// `/apps/NAME/`
    pub prefix: String,
    pub gets: Gets,
    /// The path that a person opens.
    pub open: String,
    /// Another app, whose server it is.
    pub shares: Option<AppName>,
}

impl Seen {
    /// The same server under another name.
    fn viewed_as(&self, name: &AppName, root: &RootConfig) -> Self {
        let kind = root.app(name).map_or(Kind::Jupyter, |app| app.kind);
        Self {
            name: name.clone(),
            kind: kind.as_str(),
            open: format!("{}{}", self.prefix, kind.open()),
            shares: Some(self.name.clone()),
            ..self.clone()
        }
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    #[error("there is no app {name}; the configuration has: {}", .known.join(", "))]
    Unknown { name: String, known: Vec<String> },
    #[error("{name} cannot be started: {message}")]
    Unavailable { name: AppName, message: String },
    #[error("{name} did not start: {message}")]
    NotStarted { name: AppName, message: String },
    #[error("{name} has not stopped within {} s: {message}", .limit.as_secs())]
    NotStopped { name: AppName, limit: Duration, message: String },
    #[error("the supervision of apps is stopping or overloaded: try again")]
    Stopping,
    #[error("the log cannot be shown")]
    Log(#[source] LogError),
    #[error("the log cannot be shown")]
    Journal(#[source] Refusal),
}

/// What `shutdown` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shutdown {
    pub stopped: Vec<AppName>,
    /// What is still there, and in which state.
    pub left: Vec<String>,
}

/// What can be asked of the task.
#[derive(Debug)]
enum Command {
    App(AppName, Ask, oneshot::Sender<()>),
    /// With what runs, whoever knows of it.
    Down(Vec<AppName>, oneshot::Sender<()>),
    Configure(Vec<Spec>),
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    Start,
    Stop,
    Restart,
    Demand,
}

/// How long a person waits to hear whether the start works out.
const START_NEWS: Duration = Duration::from_secs(10);
/// More than the grace and what comes after it.
const STOP_NEWS: Duration = Duration::from_secs(60);

/// The way to the supervision; clones share it.
#[derive(Debug, Clone)]
pub struct Apps {
    commands: mpsc::Sender<Command>,
    seen: watch::Receiver<Arc<Vec<Seen>>>,
    privileged: Privileged,
    launcher: Launcher,
    activities: watch::Receiver<Arc<BTreeMap<AppName, AppActivity>>>,
    uses: Uses,
}

/// Starts the supervision: what an earlier stationd left is found first, then wanted apps start.
/// Without specs, because the configuration cannot be used, nothing is started and what runs is
/// left alone: the next stationd with a good one finds it.
pub fn spawn(
    tasks: &Tasks,
    store: Store,
    privileged: Privileged,
    (specs, ground): (Option<Vec<Spec>>, watch::Receiver<Ground>),
) -> Apps {
    let (commands, commands_rx) = mpsc::channel(limits::COMMANDS);
    let (publish, seen) = watch::channel(Arc::default());
    let (activities, activities_rx) = watch::channel(Arc::default());
    let launcher = Launcher::new(privileged.clone());
    let uses = Uses::default();
    let parts = task::Parts {
        tasks: tasks.clone(),
        store,
        privileged: privileged.clone(),
        launcher: launcher.clone(),
        ground,
        commands: commands_rx,
        publish,
        activities,
        uses: uses.clone(),
    };
    tasks.part("apps", task::run(parts, specs));
    Apps { commands, seen, activities: activities_rx, privileged, launcher, uses }
}

impl Apps {
    /// What is known of every app, in the order of their names. Empty until the first look.
    pub fn seen(&self) -> watch::Receiver<Arc<Vec<Seen>>> {
        self.seen.clone()
    }

    /// Wants the app to run from now on; returns when its program runs or cannot be started.
    pub async fn start(&self, name: &str) -> Result<(), AppsError> {
        let name = self.known(name)?;
        self.ask(&name, Ask::Start).await?;
        self.started(&name).await
    }

    /// Ends the app and everything below it, and keeps it stopped; returns when it is gone.
    pub async fn stop(&self, name: &str) -> Result<(), AppsError> {
        let name = self.known(name)?;
        self.ask(&name, Ask::Stop).await?;
        let gone = |seen: &Seen| seen.phase == AppPhase::Stopped || seen.wanted;
        match self.until(&name, STOP_NEWS, gone).await {
            Ok(_) => Ok(()),
            Err(message) => Err(AppsError::NotStopped { name, limit: STOP_NEWS, message }),
        }
    }

    /// Stops and starts; returns when the new program runs or cannot be started.
    pub async fn restart(&self, name: &str) -> Result<(), AppsError> {
        let name = self.known(name)?;
        self.ask(&name, Ask::Restart).await?;
        let past = |seen: &Seen| seen.phase != AppPhase::Stopping;
        drop(self.until(&name, STOP_NEWS, past).await);
        self.started(&name).await
    }

    /// A request came for the app: starts it if it starts on demand and nobody stopped it.
    pub async fn want(&self, name: &str) -> Result<(), AppsError> {
        let name = self.known(name)?;
        self.ask(&name, Ask::Demand).await
    }

    /// What shows whether the app is at work; of one that does not run, nothing does.
    pub fn activity(&self, name: &str) -> Result<AppActivity, AppsError> {
        let name = self.known(name)?;
        let runs = |seen: &Seen| seen.name == name && seen.activity.is_some();
        let runs = self.seen.borrow().iter().any(runs);
        let known = self.activities.borrow().get(&name).cloned().filter(|_| runs);
        Ok(known.unwrap_or_else(|| AppActivity {
            name: name.to_string(),
            at: Time(clock::now().wall),
            state: ActivityState::Unknown,
            idle_since: None,
            stops_at: None,
            sources: Vec::new(),
        }))
    }

    /// Notes that an app was used; called for every request.
    pub fn used(&self, name: &str, what: Use<'_>) {
        let root = self.privileged.root();
        if let Some(app) = root.apps.iter().find(|app| app.name.as_str() == name) {
            self.uses.note((name, app.kind), what, clock::since_boot());
        }
    }

    /// The last lines of the app's log, oldest first, without secrets.
    pub async fn logs(&self, name: &str, lines: usize) -> Result<Vec<String>, AppsError> {
        let name = self.known(name)?;
        self.launcher.lines(&name, lines).await
    }

    /// Stops every app without changing what is wanted; for `stationctl down`. From now on nothing
    /// starts: an app must not outlive the stationd that is about to end.
    pub async fn shutdown(&self, limit: Duration) -> Shutdown {
        let before = Arc::clone(&self.seen.borrow());
        let (done, done_rx) = oneshot::channel();
        let running = self.launcher.running().await;
        if self.commands.send(Command::Down(running, done)).await.is_ok() {
            drop(done_rx.await);
        }
        let mut seen = self.seen.clone();
        let all = |seen: &Arc<Vec<Seen>>| seen.iter().all(|one| one.phase == AppPhase::Stopped);
        drop(tokio::time::timeout(limit, seen.wait_for(all)).await);
        let mut report = Shutdown::default();
        for one in seen.borrow().iter().filter(|one| one.shares.is_none()) {
            let old = before.iter().find(|old| old.name == one.name);
            let ran = old.is_none_or(|old| old.pid.is_some());
            if one.phase != AppPhase::Stopped {
                report.left.push(format!("{}: {}", one.name, one.message));
            } else if ran {
                report.stopped.push(one.name.clone());
            }
        }
        report
    }

    /// Takes a new list: new apps start, those that are gone are stopped, changed ones are marked.
    /// The privileged side's configuration must have been renewed before.
    pub async fn configure(&self, specs: Vec<Spec>) -> Result<(), AppsError> {
        self.commands.send(Command::Configure(specs)).await.map_err(|_closed| AppsError::Stopping)
    }

    fn known(&self, name: &str) -> Result<AppName, AppsError> {
        let root = self.privileged.root();
        let app = root.apps.iter().find(|app| app.name.as_str() == name);
        // Whatever is said of a view is said of its server.
        app.map(|app| app.shares.as_ref().unwrap_or(&app.name).clone()).ok_or_else(|| {
            AppsError::Unknown {
                name: name.to_owned(),
                known: root.apps.iter().map(|app| app.name.to_string()).collect(),
            }
        })
    }

    /// Returns when the command has been taken and its first effect is visible.
    async fn ask(&self, name: &AppName, ask: Ask) -> Result<(), AppsError> {
        let (done, done_rx) = oneshot::channel();
        let command = Command::App(name.clone(), ask, done);
        self.commands.try_send(command).map_err(|_full| AppsError::Stopping)?;
        done_rx.await.map_err(|_dropped| AppsError::Stopping)
    }

    async fn started(&self, name: &AppName) -> Result<(), AppsError> {
        let news = |seen: &Seen| seen.phase != AppPhase::Starting || seen.pid.is_some();
        let Ok(seen) = self.until(name, START_NEWS, news).await else { return Ok(()) };
        let (name, message) = (seen.name, seen.message);
        match seen.phase {
            AppPhase::Unavailable => Err(AppsError::Unavailable { name, message }),
            AppPhase::Backoff | AppPhase::Failed => Err(AppsError::NotStarted { name, message }),
            _ => Ok(()),
        }
    }

    /// Waits until `test` holds; else what the app says of itself.
    async fn until(
        &self,
        name: &AppName,
        limit: Duration,
        test: impl Fn(&Seen) -> bool,
    ) -> Result<Seen, String> {
        let mut seen = self.seen.clone();
        let of = |all: &Arc<Vec<Seen>>| all.iter().find(|one| one.name == *name).cloned();
        let holds = |all: &Arc<Vec<Seen>>| of(all).is_none_or(|one| test(&one));
        let in_time = tokio::time::timeout(limit, seen.wait_for(holds))
            .await
            .is_ok_and(|found| found.is_ok());
        match of(&seen.borrow()) {
            Some(one) if in_time => Ok(one),
            Some(one) => Err(one.message),
            None => Err("it is no longer in the configuration".to_owned()),
        }
    }
}
