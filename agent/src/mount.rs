//! Mounts: follows the warden of each share, starts one where there is none, and passes orders on.
//!
//! ```text
//!   privileged ◄─StartMount─ task (one a share) ◄─lines─ warden ── driver ── the share
//!                              │        └──orders──────────►
//!                              └─► Seen: heartbeat, apps, API
//! ```
//!
//! Invariants: stationd's end ends no warden; a share that cannot be seen is `unknown` and never ready; a
//! share that has left the configuration is drained and given up.
//!
//! Not here: everything that is done to a share (`warden`), and the local folder (`wiring::facts`).

mod link;
mod task;
pub mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use station_proto::mount::{DrainOutcome, MountDetail, MountPhase, Pending};
use tokio::sync::{mpsc, watch};

use crate::base::ids::AppName;
use crate::base::tasks::Tasks;
use crate::privileged::Privileged;
use crate::warden::files::{Folder, Order, State as Line, Trouble};

/// One share of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub name: AppName,
    /// As the configuration writes it.
    pub driver: &'static str,
    pub place: PathBuf,
    pub folder: Folder,
    /// Names what the configuration asks for.
    pub spec: String,
    /// It has left the configuration: it is drained and given up.
    pub left: bool,
}

/// What is known of a share.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub name: AppName,
    pub driver: &'static str,
    pub place: PathBuf,
    /// What its warden said last; absent while none answers.
    pub line: Option<Arc<Line>>,
    /// Why there is no warden.
    pub silent: Option<String>,
    /// It runs as an older configuration says; a remount makes it new.
    pub outdated: bool,
}

impl Seen {
    /// Whether users can work on it.
    pub fn ready(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.ready)
    }
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum MountsError {
    #[error("there is no share {name}; the configuration has: {}", .known.join(", "))]
    Unknown { name: String, known: Vec<String> },
    #[error("{name} is a local folder: there is nothing to do")]
    Local { name: String },
    #[error("the warden of {name} does not answer: {why}")]
    Silent { name: AppName, why: String },
    #[error("{name} has not come back within {} s: {message}", .limit.as_secs())]
    NotBack { name: AppName, limit: Duration, message: String },
}

/// How long a remount may take until it is told that it did not work out.
const BACK: Duration = Duration::from_secs(90);
/// How much later than its limit a warden may answer.
const LATE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) enum Command {
    Order(Order),
    /// Take up what the configuration says now, and mount again.
    Remount,
}

/// The way to the shares; clones share it.
#[derive(Debug, Clone)]
pub struct Mounts {
    seen: watch::Receiver<Arc<Vec<Seen>>>,
    ways: Arc<BTreeMap<AppName, mpsc::Sender<Command>>>,
}

/// Starts to follow. Without specs nothing is started, and what is mounted stays.
pub fn spawn(tasks: &Tasks, privileged: &Privileged, specs: Vec<Spec>) -> Mounts {
    let first = specs.iter().filter(|spec| !spec.left).map(task::first).collect();
    let (publish, seen) = watch::channel(Arc::new(first));
    let mut ways = BTreeMap::new();
    for spec in specs {
        let (way, commands) = mpsc::channel(4);
        ways.insert(spec.name.clone(), way);
        let (cancel, pulse) = (tasks.token().clone(), tasks.pulse(format!("mount {}", spec.name)));
        let task = task::Task::new(spec, privileged.clone(), publish.clone());
        tasks.work(task.run(commands, pulse, cancel));
    }
    Mounts { seen, ways: Arc::new(ways) }
}

impl Mounts {
    /// What is known of every share, in the order of the configuration.
    pub fn seen(&self) -> watch::Receiver<Arc<Vec<Seen>>> {
        self.seen.clone()
    }

    /// Everything that is known of one share.
    pub fn detail(&self, name: &str) -> Result<MountDetail, MountsError> {
        let all = self.seen.borrow();
        let seen = all.iter().find(|seen| seen.name.as_str() == name);
        seen.map(view::detail).ok_or_else(|| unknown(name, &all))
    }

    /// Starts the driver anew, with the configuration of now; returns when the share can be used.
    pub async fn remount(&self, name: &str) -> Result<(), MountsError> {
        let before = self.generation(name)?;
        let name = self.send(name, Command::Remount).await?;
        let back = |seen: &Seen| {
            seen.ready()
                && !seen.outdated
                && seen
                    .line
                    .as_ref()
                    .is_some_and(|line| line.generation > before || line.generation == 1)
        };
        if self.until(&name, BACK, back).await.is_some() {
            return Ok(());
        }
        let message = self.message(&name);
        Err(MountsError::NotBack { name, limit: BACK, message })
    }

    /// Brings everything to the share and unmounts it; tells what is left after `limit`.
    pub async fn drain(&self, name: &str, limit: Duration) -> Result<DrainOutcome, MountsError> {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let name = self.send(name, Command::Order(Order::Drain { limit_ms })).await?;
        let blocked =
            |line: &Line| line.troubles.iter().any(|told| told.trouble == Trouble::DrainBlocked);
        let over = |seen: &Seen| {
            seen.line
                .as_ref()
                .is_some_and(|line| line.phase == MountPhase::Unmounted || blocked(line))
        };
        self.until(&name, limit + LATE, over).await;
        let all = self.seen.borrow();
        let line = all.iter().find(|seen| seen.name == name).and_then(|seen| seen.line.clone());
        let Some(line) = line else {
            return Err(MountsError::Silent { name, why: "it ended".to_owned() });
        };
        let pending = line.sample.pending.clone().unwrap_or_default();
        let unmounted = line.phase == MountPhase::Unmounted;
        Ok(DrainOutcome {
            drained: pending.files == 0,
            unmounted,
            stopped_by: (!unmounted).then(|| line.message.clone()),
            pending,
            pending_files: line.pending_files.clone(),
        })
    }

    /// Drains every share and ends its warden; what could not be brought to the share in time stays in the
    /// cache, and is listed.
    pub async fn shutdown(&self, limit: Duration) -> Vec<(AppName, Pending)> {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let mut left = Vec::new();
        for way in self.ways.values() {
            drop(way.send(Command::Order(Order::Stop { limit_ms })).await);
        }
        for name in self.ways.keys() {
            let gone = |seen: &Seen| seen.line.is_none();
            let mut last = Pending::default();
            let mut seen = self.seen.clone();
            let watched = async {
                loop {
                    let all = Arc::clone(&seen.borrow_and_update());
                    let one = all.iter().find(|one| one.name == *name);
                    if one.is_none_or(gone) {
                        return;
                    }
                    let sample = one.and_then(|one| one.line.as_ref()).map(|line| &line.sample);
                    last = sample.and_then(|sample| sample.pending.clone()).unwrap_or_default();
                    if seen.changed().await.is_err() {
                        return;
                    }
                }
            };
            drop(tokio::time::timeout(limit + LATE, watched).await);
            if last.files > 0 {
                left.push((name.clone(), last));
            }
        }
        left
    }

    fn generation(&self, name: &str) -> Result<u64, MountsError> {
        let all = self.seen.borrow();
        let seen = all.iter().find(|seen| seen.name.as_str() == name);
        let seen = seen.ok_or_else(|| unknown(name, &all))?;
        Ok(seen.line.as_ref().map_or(0, |line| line.generation))
    }

    fn message(&self, name: &AppName) -> String {
        let all = self.seen.borrow();
        let seen = all.iter().find(|seen| seen.name == *name);
        seen.map(|seen| view::mount(seen).message).unwrap_or_default()
    }

    async fn send(&self, name: &str, command: Command) -> Result<AppName, MountsError> {
        let found = self.ways.iter().find(|(known, _)| known.as_str() == name);
        let Some((name, way)) = found else {
            return Err(unknown(name, &self.seen.borrow()));
        };
        let silent = |_closed| MountsError::Silent {
            name: name.clone(),
            why: "stationd is stopping".to_owned(),
        };
        way.send(command).await.map_err(silent)?;
        Ok(name.clone())
    }

    /// Returns when it is so, or nothing when the time is over.
    async fn until(
        &self,
        name: &AppName,
        limit: Duration,
        is: impl Fn(&Seen) -> bool,
    ) -> Option<()> {
        let mut seen = self.seen.clone();
        let so = seen.wait_for(|all| all.iter().any(|seen| seen.name == *name && is(seen)));
        tokio::time::timeout(limit, so).await.ok()?.ok().map(drop)
    }
}

fn unknown(name: &str, all: &[Seen]) -> MountsError {
    let known: Vec<String> = all.iter().map(|seen| seen.name.to_string()).collect();
    if name == "workspace" && !known.iter().any(|known| known == name) {
        return MountsError::Local { name: name.to_owned() };
    }
    MountsError::Unknown { name: name.to_owned(), known }
}
