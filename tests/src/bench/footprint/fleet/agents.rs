//! A thousand agents in this process: each with the real router, heartbeat and admin socket, and with
//! nothing behind them. All run on one thread, whose CPU time is that of the agents.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use station_proto::api::{DownReport, LoginLink};
use station_proto::app::{AppActivity, AppLogs};
use station_proto::condition::Condition;
use station_proto::gpu::{GpuCall, GpuSample, Gpus};
use station_proto::heartbeat::{Heartbeat, Status};
use station_proto::history::History;
use station_proto::mount::{DrainOutcome, MountDetail, MountSample};
use station_proto::problem::Problem;
use station_proto::time::Time;
use station_proto::token::{NewToken, Token, TokenRequest};
use stationd::admin::answers::no_such_app;
use stationd::admin::rules::Owners;
use stationd::admin::{Answer, AppAction, Control, Sources, router, socket};
use stationd::base::limits;
use stationd::base::tasks::Tasks;
use stationd::heartbeat::Ledger;
use stationd::metrics::{Scraped, Wanted};
use stationd::os::clock;
use stationd::store::Store;
use tokio::sync::{Semaphore, watch};

/// What a machine with eight GPUs answers.
const EXAMPLE: &str = include_str!("../../../../../proto/examples/0.1.0/heartbeat-8-gpus.json");

/// One agent, as the measurement changes it.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) socket: PathBuf,
    status: watch::Sender<Arc<Status>>,
    ledger: watch::Sender<Arc<Ledger>>,
}

impl Agent {
    /// One condition comes, or goes again; the new number.
    pub(super) fn change(&self) -> u64 {
        let mut status = Status::clone(&self.status.borrow());
        status.seq += 1;
        match status.conditions.iter().position(|one| one.kind == "AppRestarting") {
            Some(at) => drop(status.conditions.remove(at)),
            None => status.conditions.push(restarting(&status)),
        }
        let (seq, status) = (status.seq, Arc::new(status));
        self.ledger.send_modify(|ledger| Arc::make_mut(ledger).take(Arc::clone(&status)));
        self.status.send_replace(status);
        seq
    }
}

fn restarting(status: &Status) -> Condition {
    Condition {
        kind: "AppRestarting".to_owned(),
        subject: "jupyterlab".to_owned(),
        status: station_proto::condition::Truth::True,
        reason: "Ended".to_owned(),
        message: "ended by signal 9; the next start is in 4 s".to_owned(),
        action: "See `stationctl app logs jupyterlab`.".to_owned(),
        since: status.since,
    }
}

/// The agents, and the thread that they run on.
#[derive(Debug)]
pub(super) struct Agents {
    pub(super) all: Vec<Agent>,
    tasks: Tasks,
    thread: i32,
}

impl Agents {
    /// Starts `count` of them in `folder`.
    pub(super) fn start(folder: &Path, count: usize) -> Result<Self> {
        let (tell, told) = std::sync::mpsc::channel();
        let folder = folder.to_owned();
        std::thread::Builder::new().name("agents".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let (tasks, _ended) = Tasks::new();
                let made = serve(&folder, count, &tasks).await;
                let thread = nix::unistd::gettid().as_raw();
                let made = made.map(|all| Self { all, tasks: tasks.clone(), thread });
                tell.send(made).unwrap_or_default();
                tasks.joined().await;
            });
        })?;
        told.recv().context("the agents did not start")?
    }

    /// CPU time of all agents together, in microseconds.
    pub(super) fn cpu_us(&self) -> Result<f64> {
        let path = format!("/proc/self/task/{}/schedstat", self.thread);
        let text = std::fs::read_to_string(path)?;
        let ns: f64 = text.split(' ').next().context("a time")?.parse()?;
        Ok(ns / 1e3)
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn serve(folder: &Path, count: usize, tasks: &Tasks) -> Result<Vec<Agent>> {
    let store = Store::open(&folder.join("stationd.db"), &[])?;
    let example: Heartbeat = serde_json::from_str(EXAMPLE)?;
    let uid = nix::unistd::geteuid().as_raw();
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let status = Arc::new(Status { name: format!("vm{number}"), ..example.status.clone() });
        let (publish, status_rx) = watch::channel(Arc::clone(&status));
        let (publish_ledger, ledger) = watch::channel(Arc::new(Ledger::new(status)));
        let (_samples, samples) = watch::channel(example.samples.clone().map(Arc::new));
        let gpus = example.samples.as_ref().map(|now| now.gpus.clone()).unwrap_or_default();
        let sources = Sources {
            instance_id: example.lease.instance_id.clone(),
            boot_id: example.lease.boot_id.clone(),
            started: clock::now(),
            status: status_rx,
            ledger,
            samples,
            node: watch::channel(None).1,
            waiting: Arc::new(Semaphore::new(limits::WAITING_POLLS)),
            store: store.clone(),
            tasks: tasks.clone(),
            control: Arc::new(Nothing(gpus)),
        };
        let path = folder.join(number.to_string());
        let listener = socket::bind(&path).await?;
        let owners = Owners { daemon: uid, local_user: uid };
        socket::serve(tasks, listener, router(sources), owners);
        all.push(Agent { socket: path, status: publish, ledger: publish_ledger });
    }
    Ok(all)
}

/// There is no machine behind these agents.
struct Nothing(Vec<GpuSample>);

fn nobody<T: Send + 'static>() -> Answer<T> {
    Box::pin(std::future::ready(Err(no_such_app("none"))))
}

impl Control for Nothing {
    fn app(&self, _: &str, _: AppAction) -> Answer<()> {
        nobody()
    }

    fn activity(&self, _: &str) -> Result<AppActivity, Box<Problem>> {
        Err(no_such_app("none"))
    }

    fn logs(&self, _: &str, _: usize) -> Answer<AppLogs> {
        nobody()
    }

    fn login_link(&self, _: &str) -> Answer<LoginLink> {
        nobody()
    }

    fn create_token(&self, _: TokenRequest) -> Answer<NewToken> {
        nobody()
    }

    fn tokens(&self) -> Vec<Token> {
        Vec::new()
    }

    fn revoke_token(&self, _: &str) -> Answer<()> {
        nobody()
    }

    fn gpus(&self) -> Gpus {
        Gpus::default()
    }

    fn gpu_samples(&self) -> Vec<GpuSample> {
        self.0.clone()
    }

    fn mount_samples(&self) -> Vec<MountSample> {
        Vec::new()
    }

    fn mount(&self, _: &str) -> Result<MountDetail, Box<Problem>> {
        Err(no_such_app("none"))
    }

    fn remount(&self, _: &str) -> Answer<()> {
        nobody()
    }

    fn drain(&self, _: &str, _: Duration) -> Answer<DrainOutcome> {
        nobody()
    }

    fn gpu_calls(&self) -> Answer<Vec<GpuCall>> {
        nobody()
    }

    fn down(&self) -> Answer<DownReport> {
        nobody()
    }

    fn metrics(&self, _: Wanted) -> Scraped {
        Scraped { pieces: Vec::new(), gzip: false }
    }

    fn history(&self, _: usize) -> History {
        History { step_s: 30, until: Time(clock::now().wall), series: Vec::new() }
    }
}
