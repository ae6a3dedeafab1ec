//! Shares: what their wardens say becomes part of the status, and decides what apps stand on.

use std::time::Duration;

use station_proto::mount::Mount;
use tokio::sync::watch;

use crate::apps::Ground;
use crate::base::tasks::Tasks;
use crate::config::{Config, Driver};
use crate::heartbeat::Facts;
use crate::mount::{Mounts, Seen, view};
use crate::wiring::edges::mount_to_heartbeat;
use crate::wiring::start::Common;

/// Whose findings they are.
const FOUND: &str = "mount";
/// The mount that apps work in.
const WORKSPACE: &str = "workspace";

/// Puts what is known of one mount in the place of what was; `true` if it is news.
pub(super) fn put(mounts: &mut Vec<Mount>, mount: Mount) -> bool {
    match mounts.iter_mut().find(|one| one.name == mount.name) {
        Some(one) if *one == mount => false,
        Some(one) => {
            *one = mount;
            true
        }
        None => {
            mounts.push(mount);
            true
        }
    }
}

/// Copies what wardens say.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>) {
    let (mut seen, to) = (common.mounts.seen(), facts.clone());
    let cancel = common.tasks.token().clone();
    common.tasks.part("facts-mounts", async move {
        loop {
            let latest = seen.borrow_and_update().clone();
            let found: Vec<_> =
                latest.iter().flat_map(view::findings).map(mount_to_heartbeat::finding).collect();
            let workspace = latest.iter().find(|one| one.name.as_str() == WORKSPACE);
            let workspace = workspace.map(mount_to_heartbeat::workspace);
            to.send_if_modified(|facts| {
                let mut changed = facts.found.get(FOUND) != Some(&found);
                facts.found.insert(FOUND, found);
                for one in latest.iter() {
                    changed |= put(&mut facts.mounts, view::mount(one));
                }
                if let Some(workspace) = workspace {
                    changed |= facts.workspace != workspace;
                    facts.workspace = workspace;
                }
                changed
            });
            match cancel.run_until_cancelled(seen.changed()).await {
                Some(Ok(())) => {}
                // Without a share nothing is ever said.
                Some(Err(_closed)) => return cancel.cancelled().await,
                None => return,
            }
        }
    });
}

/// What apps stand on: a local folder is always there, a share may be waited for.
pub(in crate::wiring) fn ground(
    tasks: &Tasks,
    config: &Config,
    mounts: &Mounts,
) -> watch::Receiver<Ground> {
    let workspace = config.mounts.iter().find(|mount| mount.name.as_str() == WORKSPACE);
    let Some(Driver::Share(share)) = workspace.map(|mount| &mount.driver) else {
        return watch::channel(Ground::Ready).1;
    };
    let (to, ground) = watch::channel(Ground::Waiting("it is not mounted yet".to_owned()));
    let (mut seen, wait, cancel) = (mounts.seen(), share.wait, tasks.token().clone());
    let follows = async move {
        loop {
            let of = |all: &[Seen]| all.iter().find(|one| one.name.as_str() == WORKSPACE).cloned();
            let latest = of(&seen.borrow_and_update());
            let ready = latest.as_ref().is_some_and(Seen::ready);
            let message = latest.map(|one| view::mount(&one).message).unwrap_or_default();
            to.send_if_modified(|ground| {
                let next = match (ready, &*ground) {
                    (true, _) => Ground::Ready,
                    // Who waited long enough does not wait again.
                    (false, Ground::Scratch) => Ground::Scratch,
                    (false, _) => Ground::Waiting(message),
                };
                let news = *ground != next;
                *ground = next;
                news
            });
            let waits = matches!(&*to.borrow(), Ground::Waiting(_));
            let limit = if waits { wait } else { Duration::MAX };
            match tokio::time::timeout(limit, gone(&mut seen, ready)).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(_elapsed) => {
                    to.send_replace(Ground::Scratch);
                }
            }
        }
    };
    tasks.part("ground", async move {
        cancel.run_until_cancelled(follows).await;
    });
    ground
}

/// Returns when the share is not what it was, `false` if nobody follows it any more.
async fn gone(seen: &mut watch::Receiver<std::sync::Arc<Vec<Seen>>>, ready: bool) -> bool {
    let other = |all: &std::sync::Arc<Vec<Seen>>| {
        let now = all.iter().find(|one| one.name.as_str() == WORKSPACE).is_some_and(Seen::ready);
        now != ready
    };
    seen.wait_for(other).await.is_ok()
}
