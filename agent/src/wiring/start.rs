//! The start: configuration, store, identity, sockets, then every part.

pub(super) mod folders;

use std::sync::Arc;
use std::time::Duration;

use station_proto::heartbeat::Status;
use station_proto::node::{Node, Samples};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::edges::admin_to_parts::Parts;
use super::edges::parts_to_metrics::Recorder;
use super::edges::{config_to_apps, config_to_mounts, config_to_privileged};
use super::public::{self, Bound};
use super::{Outside, StartError, facts, log, reload};
use crate::admin::rules::Owners;
use crate::admin::{self, Control, Sources};
use crate::apps::{self, Apps};
use crate::base::limits;
use crate::base::moment::Moment;
use crate::base::tasks::{Ended, Tasks};
use crate::config::{self, Config};
use crate::gpu;
use crate::heartbeat::{self, Facts, Ledger, Published};
use crate::identity::{self, Identity, Instance};
use crate::lifecycle::aborted;
use crate::mount::{self, Mounts};
use crate::os::systemd::passed::PassedError;
use crate::os::{clock, process, systemd};
use crate::privileged::{Privileged, RootConfig};
use crate::store::{Feature, Store};

/// Every feature that keeps something.
const FEATURES: [Feature; 3] = [apps::FEATURE, heartbeat::FEATURE, identity::FEATURE];
/// Where `stationd privileged` listens, in the run folder.
pub(super) const PRIVILEGED_SOCKET: &str = "privileged.sock";
/// How long the start waits for the first look at the apps.
const APPS_KNOWN: Duration = Duration::from_secs(2);

/// The parts, as far as the end of the daemon needs them.
pub(super) struct Running {
    pub tasks: Tasks,
    pub ended: mpsc::Receiver<Ended>,
    pub store: Store,
    pub apps: Apps,
    pub facts: watch::Sender<Facts>,
    /// `stationctl down` has ended every app.
    pub down: CancellationToken,
    /// The broken configuration was mended.
    pub again: CancellationToken,
}

/// What was read of the configuration: what is in force, and what is wrong with it.
pub(super) struct Settled {
    pub config: Config,
    /// All mistakes in sentences, if it could not be used.
    pub invalid: Option<String>,
    /// Whether there is an address to listen on.
    pub listens: bool,
}

/// What several parts are built from.
pub(super) struct Common<'a> {
    pub outside: &'a Outside,
    pub settled: Settled,
    pub started: Moment,
    pub tasks: Tasks,
    pub store: Store,
    pub identity: Identity,
    pub instance: Instance,
    pub root: watch::Sender<Arc<RootConfig>>,
    pub privileged: Privileged,
    pub apps: Apps,
    pub mounts: Mounts,
}

/// What the API and the pages show.
#[derive(Clone)]
pub(super) struct Shown {
    pub status: watch::Receiver<Arc<Status>>,
    pub ledger: watch::Receiver<Arc<Ledger>>,
    pub samples: watch::Receiver<Option<Arc<Samples>>>,
    pub node: watch::Receiver<Option<Arc<Node>>>,
}

/// Reads the configuration; with mistakes, or with `trouble` in using it, no app is started.
fn settle(outside: &Outside, trouble: Option<String>) -> Settled {
    match config::load(&outside.paths, &outside.environment) {
        Ok(loaded) if trouble.is_some() => Settled {
            config: Config { apps: Vec::new(), ..loaded.config },
            invalid: trouble,
            listens: false,
        },
        Ok(loaded) => Settled { config: loaded.config, invalid: None, listens: true },
        Err(failed) => Settled {
            listens: failed.listen.is_some(),
            invalid: Some(reload::sentences(&failed.mistakes)),
            config: failed.fallback,
        },
    }
}

/// `trouble`: why the configuration, which has no mistakes, could not be used just now.
pub(super) async fn start(
    outside: &Outside,
    trouble: Option<String>,
) -> Result<Running, StartError> {
    let started = clock::now();
    let settled = settle(outside, trouble);
    let levels = log::start(settled.config.log);
    for name in outside.passed.names().filter(|name| !["public", "admin", "control"].contains(name))
    {
        tracing::warn!(name, "a socket was passed on that stationd has no use for");
    }
    let store = Store::open(&outside.paths.database, &FEATURES).map_err(StartError::Store)?;
    let session = identity::Config { session: settled.config.identity.session };
    let (identity, instance) =
        Identity::open(store.clone(), session, started).await.map_err(StartError::Identity)?;
    let own = (!outside.units).then_some(&instance.id);
    let root = config_to_privileged::root_config(&settled.config, outside, own)
        .map_err(StartError::User)?;
    // Both sockets come before the first part: what cannot be bound leaves nothing running.
    let bound = Bound::bind(outside, &settled, &instance).await?;
    let socket = admin_socket(outside).await?;

    let (tasks, ended) = Tasks::watched(outside.pulses.clone());
    tasks.work(aborted::tell(store.clone(), outside.paths.abort_trace.clone()));
    watch_store(&tasks, store.clone());
    let specs = settled.invalid.is_none().then(|| config_to_apps::specs(&settled.config));
    let root = watch::Sender::new(Arc::new(root));
    let privileged = if outside.units {
        Privileged::over(outside.paths.run_dir.join(PRIVILEGED_SOCKET), root.clone())
    } else {
        Privileged::in_process(root.clone())
    };
    let shares = if settled.invalid.is_none() {
        config_to_mounts::specs(&root.borrow())
    } else {
        Vec::new()
    };
    let mounts = mount::spawn(&tasks, &privileged, shares);
    let ground = facts::ground(&tasks, &settled.config, &mounts);
    let apps = apps::spawn(&tasks, store.clone(), privileged.clone(), (specs, ground));
    identity.spawn(&tasks);
    let common = Common {
        outside,
        settled,
        started,
        tasks,
        store,
        identity,
        instance,
        root,
        privileged,
        apps,
        mounts,
    };
    let running = common.serve(bound, socket, levels).await;
    Ok(running(ended))
}

/// The one that was passed on, or our own.
async fn admin_socket(outside: &Outside) -> Result<UnixListener, StartError> {
    let Some(passed) = outside.passed.unix("admin").map_err(StartError::Passed)? else {
        let path = &outside.paths.admin_socket;
        return admin::socket::bind(path).await.map_err(StartError::Socket);
    };
    let fail = |source| PassedError::Use { name: "admin".to_owned(), source };
    UnixListener::from_std(passed).map_err(|error| StartError::Passed(fail(error)))
}

/// The store's writer has a thread of its own: somebody asks it in the name of the loops.
fn watch_store(tasks: &Tasks, store: Store) {
    let (cancel, mut pulse) = (tasks.token().clone(), tasks.pulse("store"));
    let asks = async move {
        loop {
            pulse.asked().await;
            if store.goes_round().await {
                pulse.answer();
            }
        }
    };
    tasks.part("store-pulse", async move {
        cancel.run_until_cancelled(asks).await;
    });
}

impl Common<'_> {
    /// Starts what answers: heartbeat, API, public listener, reload.
    async fn serve(
        self,
        bound: Bound,
        socket: UnixListener,
        levels: log::Levels,
    ) -> impl FnOnce(mpsc::Receiver<Ended>) -> Running {
        let (facts, facts_rx) = watch::channel(facts::first(&self, &bound));
        let (gpu, host) = facts::follow(&self, &facts);
        let Published { status, ledger } =
            heartbeat::spawn(&self.tasks, &self.store, facts_rx).await;
        let shown = Shown { status, ledger, samples: host.samples, node: host.node };
        self.apps_known(shown.status.clone()).await;
        let (counters, metrics) = public::metrics();
        let recorder = Recorder::new(counters, shown.clone(), gpu.seen.clone(), self.mounts.seen());
        recorder.spawn(&self.tasks);
        let (down, again) = (CancellationToken::new(), CancellationToken::new());
        let (public_url, public_url_rx) = watch::channel(bound.url.clone());
        let ends = (facts.clone(), down.clone());
        let control = self.control(&bound, public_url_rx, (recorder, gpu), ends);
        let control: Arc<dyn Control> = Arc::new(control);
        let router = admin::router(self.sources(&shown, Arc::clone(&control)));
        admin::socket::serve(&self.tasks, socket, router.clone(), self.owners());
        let doors = public::spawn(&self, bound, (router, control), (shown, metrics), &facts);
        let live = reload::Live { levels, doors, public_url, facts: facts.clone(), again };
        let again = live.again.clone();
        let (tasks, store, apps) = (self.tasks.clone(), self.store.clone(), self.apps.clone());
        reload::spawn(self, live);
        // Now that the files are watched: who changes them after READY is heard.
        announce(&facts.borrow());
        move |ended| Running { tasks, ended, store, apps, facts, down, again }
    }

    /// Whoever asks right after the start must find every app of the configuration. A look at
    /// what still runs takes milliseconds; a station that hangs there answers nevertheless.
    async fn apps_known(&self, mut status: watch::Receiver<Arc<Status>>) {
        let count = self.settled.config.apps.len();
        let all = status.wait_for(|status| status.apps.len() >= count);
        if tokio::time::timeout(APPS_KNOWN, all).await.is_err() {
            tracing::warn!("it takes long to find out which apps run");
        }
    }

    fn control(
        &self,
        bound: &Bound,
        public_url: watch::Receiver<String>,
        (recorder, gpu): (Recorder, gpu::Handle),
        (facts, ended): (watch::Sender<Facts>, CancellationToken),
    ) -> Parts {
        Parts {
            apps: self.apps.clone(),
            privileged: self.privileged.clone(),
            identity: self.identity.clone(),
            user: self.root.borrow().user.name.clone(),
            public_url,
            port: bound.port(),
            loopback: bound.loopback(),
            recorder,
            gpu,
            mounts: self.mounts.clone(),
            tasks: self.tasks.clone(),
            facts,
            ended,
        }
    }

    fn sources(&self, shown: &Shown, control: Arc<dyn Control>) -> Sources {
        Sources {
            instance_id: self.instance.id.to_string(),
            boot_id: process::boot_id(),
            started: self.started,
            status: shown.status.clone(),
            ledger: shown.ledger.clone(),
            samples: shown.samples.clone(),
            node: shown.node.clone(),
            waiting: Arc::new(Semaphore::new(limits::WAITING_POLLS)),
            store: self.store.clone(),
            tasks: self.tasks.clone(),
            control,
        }
    }

    fn owners(&self) -> Owners {
        let daemon = nix::unistd::geteuid().as_raw();
        Owners { daemon, local_user: self.root.borrow().user.uid }
    }
}

fn announce(facts: &Facts) {
    let version = env!("CARGO_PKG_VERSION");
    if let Some(mistakes) = &facts.config_invalid {
        tracing::error!(
            mistakes,
            "no app is started; mend the configuration, see stationctl check"
        );
    }
    let url = &facts.public_url;
    if let Some(mismatch) = &facts.listen_mismatch {
        tracing::warn!(action = mismatch.action, "{}", mismatch.message);
    }
    tracing::info!(version, %url, "ready");
    let nowhere = || "without a public listener".to_owned();
    systemd::ready(&if url.is_empty() { nowhere() } else { format!("at {url}") });
}
