//! Keeps the heartbeat's facts up to date: every part's news goes into its own fields.

use std::path::PathBuf;
use std::time::Duration;

use station_proto::app::{App, AppPhase};
use station_proto::mount::Mount;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::edges::{apps_to_heartbeat, config_to_privileged};
use super::public::{self, Bound};
use super::start::Common;
use crate::config::Config;
use crate::heartbeat::Facts;
use crate::probe::{Look, Probe};
use crate::store::Store;

/// How often a disk that took no write is tried again, and the file of one that does is looked for.
const DISK_RETRY: Duration = Duration::from_secs(5);

/// Where `stationd probe` listens, in the run folder.
const PROBE_SOCKET: &str = "probe.sock";

/// How often the workspace is looked at, and how long it may take to answer.
const WORKSPACE_LOOK: Duration = Duration::from_secs(10);
/// How often it is looked for before an app that starts has made it.
const WORKSPACE_FIRST_LOOK: Duration = Duration::from_secs(2);
const WORKSPACE_ANSWER: Duration = Duration::from_secs(2);

/// The folder that apps work in.
pub(super) struct Workspace {
    path: PathBuf,
    probe: Probe,
    /// It was there once: from then on its absence is a fault.
    was_there: bool,
}

impl Workspace {
    fn new(common: &Common<'_>) -> Self {
        let settled = &common.settled.config;
        let path = config_to_privileged::workspace(settled, &common.outside.paths).to_owned();
        let outside = common.outside;
        let probe = if outside.units {
            Probe::over(outside.paths.run_dir.join(PROBE_SOCKET))
        } else {
            Probe::own(outside.program.clone())
        };
        Self { path, probe, was_there: false }
    }

    /// Looks, and writes down what there is.
    async fn note(&mut self, facts: &mut Facts) {
        let look = self.probe.look(&self.path, WORKSPACE_ANSWER).await;
        let before_its_start = |app: &App| app.generation == 0 || app.phase == AppPhase::Starting;
        let new = !self.was_there && facts.apps.iter().all(before_its_start);
        let path = self.path.display().to_string();
        let missing = match look {
            // What cannot be known is not claimed.
            Look::Folder | Look::Unknown => None,
            Look::Missing if new => None,
            Look::Missing => Some(format!("{path} is not there any more")),
            Look::NotAFolder => Some(format!("{path} is not a folder")),
            Look::Silent => Some(format!("{path} does not answer")),
        };
        self.was_there |= look == Look::Folder;
        let message = match (&missing, look) {
            (Some(why), _) => why.clone(),
            (None, Look::Unknown) => "it cannot be looked at".to_owned(),
            (None, Look::Missing) => "not made yet: the first app that starts makes it".to_owned(),
            (None, _) => "a local folder".to_owned(),
        };
        facts.mounts = vec![Mount {
            name: "workspace".to_owned(),
            driver: "directory".to_owned(),
            path,
            ready: look == Look::Folder,
            message,
        }];
        facts.workspace_missing = missing;
    }

    /// Looks now and then, for as long as the daemon runs.
    async fn follow(mut self, to: watch::Sender<Facts>, cancel: CancellationToken) {
        let pause = |known| {
            let time = if known { WORKSPACE_LOOK } else { WORKSPACE_FIRST_LOOK };
            cancel.run_until_cancelled(tokio::time::sleep(time))
        };
        while pause(self.was_there).await.is_some() {
            let mut latest = to.borrow().clone();
            self.note(&mut latest).await;
            to.send_if_modified(|facts| {
                let changed = facts.mounts != latest.mounts
                    || facts.workspace_missing != latest.workspace_missing;
                facts.mounts = latest.mounts;
                facts.workspace_missing = latest.workspace_missing;
                changed
            });
        }
    }
}

/// What is known at the start.
pub(super) async fn first(common: &Common<'_>, bound: &Bound) -> (Facts, Workspace) {
    let settled = &common.settled;
    let root = common.root.borrow().user.uid == 0;
    let mut facts = Facts {
        name: name(&settled.config),
        public_url: bound.url.clone(),
        config_invalid: settled.invalid.clone(),
        runs_as_root: root && settled.config.instance.local_user.is_none(),
        cloned_image: common.instance.cloned,
        listen_mismatch: bound.mismatch.clone(),
        ..Facts::default()
    };
    let mut workspace = Workspace::new(common);
    workspace.note(&mut facts).await;
    (facts, workspace)
}

/// The configured name, or the machine's.
pub(super) fn name(config: &Config) -> String {
    config.instance.name.clone().unwrap_or_else(public::host_name)
}

/// Copies what the parts publish.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>, workspace: Workspace) {
    let (to, cancel) = (facts.clone(), common.tasks.token().clone());
    common.tasks.part("facts-workspace", workspace.follow(to, cancel));
    let (mut seen, to, cancel) = (common.apps.seen(), facts.clone(), common.tasks.token().clone());
    common.tasks.part("facts-apps", async move {
        loop {
            let apps = seen.borrow_and_update().iter().map(apps_to_heartbeat::app).collect();
            to.send_modify(|facts| facts.apps = apps);
            match cancel.run_until_cancelled(seen.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    });
    let (store, to, cancel) = (common.store.clone(), facts.clone(), common.tasks.token().clone());
    common.tasks.part("facts-store", async move {
        cancel.run_until_cancelled(follow_store(&store, &to)).await;
    });
}

/// While the disk takes no writes it is tried again, and while it does the file is looked for: nobody
/// else may have something to write.
async fn follow_store(store: &Store, to: &watch::Sender<Facts>) {
    let mut trouble = store.trouble();
    loop {
        let latest = trouble.borrow_and_update().clone();
        let troubled = latest.is_some();
        to.send_if_modified(|facts| {
            let changed = facts.state_not_writable != latest;
            facts.state_not_writable = latest;
            changed
        });
        match tokio::time::timeout(DISK_RETRY, trouble.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => return,
            Err(_elapsed) if troubled => store.retry().await,
            Err(_elapsed) => store.look(),
        }
    }
}
