//! Keeps the heartbeat's facts up to date: every part's news goes into its own fields.

mod gpus;
mod kernel;
mod machine;
mod mounts;
mod privileged;
mod workspace;

use std::time::Duration;

use station_proto::mount::Mount;
use tokio::sync::watch;

use super::Outside;
use super::edges::apps_to_heartbeat;
use super::public::{self, Bound};
use super::start::Common;
use crate::config::{self, Config, Driver};
use crate::gpu;
use crate::heartbeat::{Facts, Workspace};
use crate::host::Host;
use crate::probe::Probe;
use crate::store::Store;

/// How often a disk that took no write is tried again, and the file of one that does is looked for.
const DISK_RETRY: Duration = Duration::from_secs(5);

pub(super) use self::mounts::ground;

/// What is known at the start.
pub(super) fn first(common: &Common<'_>, bound: &Bound) -> Facts {
    let settled = &common.settled;
    let root = common.root.borrow().user.uid == 0;
    Facts {
        name: name(&settled.config),
        public_url: bound.url.clone(),
        config_invalid: settled.invalid.clone(),
        // What no app runs with, because the configuration has mistakes, is no matter.
        runs_as_root: root
            && settled.invalid.is_none()
            && settled.config.instance.local_user.is_none(),
        cloned_image: common.instance.cloned,
        listen_mismatch: bound.mismatch.clone(),
        control_mismatch: bound.control.mismatch.clone(),
        mounts: first_mounts(common),
        workspace: Workspace::Unknown,
        ..Facts::default()
    }
}

/// Every mount of the configuration, in its order, before anything is known of it.
fn first_mounts(common: &Common<'_>) -> Vec<Mount> {
    let of = |mount: &config::Mount| match &mount.driver {
        Driver::Directory { .. } => workspace::unknown(common),
        Driver::Share(share) => {
            let place = common.outside.paths.mounts_dir.join(mount.name.as_str());
            let driver = share.source.driver();
            Mount::unknown(mount.name.as_str(), driver, place.display().to_string())
        }
    };
    common.settled.config.mounts.iter().map(of).collect()
}

/// The configured name, or the machine's.
pub(super) fn name(config: &Config) -> String {
    config.instance.name.clone().unwrap_or_else(public::host_name)
}

/// Where `stationd probe` listens, in the run folder.
const PROBE_SOCKET: &str = "probe.sock";

/// The way to whatever may hang.
fn probe(outside: &Outside) -> Probe {
    if outside.units {
        Probe::over(outside.paths.run_dir.join(PROBE_SOCKET))
    } else {
        Probe::own(outside.program.clone())
    }
}

/// Copies what the parts publish.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>) -> (gpu::Handle, Host) {
    workspace::follow(common, facts);
    mounts::follow(common, facts);
    privileged::follow(common, facts);
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
    let (of_gpus, of_machine) = kernel::follow(common, probe(common.outside));
    let gpu = gpus::follow(common, facts, of_gpus);
    let host = machine::follow(common, facts, gpu.seen.clone(), of_machine);
    (gpu, host)
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
