//! Whether the privileged side answers, and whether it could give the user root as configured.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::heartbeat::Facts;
use crate::privileged::{Holder, Privileged, Refusal, RootConfig, Verb};
use crate::wiring::start::Common;

/// How often what was refused is asked for again: sudo may have been installed meanwhile.
const AGAIN: Duration = Duration::from_secs(30);
const NO_UNITS: &str = "root_access needs the package's units, and this stationd runs without them";

/// Copies what the privileged side says.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>) {
    let (mut silent, to) = (common.privileged.silent(), facts.clone());
    let cancel = common.tasks.token().clone();
    common.tasks.part("facts-privileged", async move {
        loop {
            let latest = silent.borrow_and_update().clone();
            to.send_if_modified(|facts| {
                let changed = facts.privileged_silent != latest;
                facts.privileged_silent = latest;
                changed
            });
            match cancel.run_until_cancelled(silent.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    });
    let (privileged, root, to) =
        (common.privileged.clone(), common.root.subscribe(), facts.clone());
    let cancel = common.tasks.token().clone();
    common.tasks.part("root-access", async move {
        cancel.run_until_cancelled(root_access(privileged, root, to)).await;
    });
}

/// Asks with every change of the configuration, and again while it is refused.
async fn root_access(
    privileged: Privileged,
    mut root: watch::Receiver<Arc<RootConfig>>,
    to: watch::Sender<Facts>,
) {
    loop {
        let wanted = Arc::clone(&root.borrow_and_update());
        let refused = match wanted.holder {
            Holder::Keepers => wanted.root_access.then(|| NO_UNITS.to_owned()),
            Holder::Units => match privileged.call(Verb::SetRootAccess {}).await {
                // Silence is said of the privileged side itself.
                Ok(_) | Err(Refusal::Silent(_)) => None,
                Err(refusal) => Some(refusal.to_string()),
            },
        };
        to.send_if_modified(|facts| {
            let changed = facts.root_access_refused != refused;
            facts.root_access_refused.clone_from(&refused);
            changed
        });
        let silent = privileged.silent().borrow().is_some();
        let changed = root.changed();
        if refused.is_some() || silent {
            drop(tokio::time::timeout(AGAIN, changed).await);
        } else if changed.await.is_err() {
            // The configuration goes with the daemon.
            return std::future::pending().await;
        }
    }
}
