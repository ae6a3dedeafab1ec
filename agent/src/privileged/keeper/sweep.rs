//! Ends what is left of an app whose keeper is gone: found by the environment that all inherit.
//!
//! A process that cleared its environment is not found; nothing on Linux without control groups
//! finds it.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::files::{Folder, Kept};
use crate::base::chain::Chain;
use crate::base::ids::AppName;
use crate::base::limits;
use crate::os::process::environment;
use crate::os::{clock, file, process};
use crate::privileged::{Refusal, RootConfig};

/// How long after a round of SIGKILL the next look is taken, the first time and at most.
const STEP: Duration = Duration::from_millis(20);
const STEP_MAX: Duration = Duration::from_millis(500);

/// Kills until nothing is left; says how many there were.
pub(in crate::privileged) async fn sweep(
    root: &RootConfig,
    app: &AppName,
    generation: Option<u64>,
) -> Result<u32, Refusal> {
    // A keeper that hangs holds its app like one that is gone; it comes first, or it would note
    // the end of its app as an end that nobody asked for.
    let folder = Folder::of(&root.keepers, app);
    let kept: Option<Kept> = super::read(&folder.kept());
    let kept = kept.filter(|kept| generation.is_none_or(|wanted| wanted == kept.generation));
    if let Some(kept) = kept.filter(|kept| kept.keeper.alive()) {
        end(kept.keeper.pid);
    }
    let deadline = clock::since_boot() + limits::KILL_WAIT;
    let mut step = STEP;
    let mut killed = BTreeSet::new();
    loop {
        let mut left = marked(root, app, generation).await?;
        left.extend(holder(&folder).filter(|_| generation.is_none()));
        let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
        if left.is_empty() {
            return Ok(count(killed.len()));
        }
        if clock::since_boot() > deadline {
            return Err(Refusal::LeftRunning { app: app.clone(), left: count(left.len()) });
        }
        for pid in left {
            end(pid);
            killed.insert(pid);
        }
        tokio::time::sleep(step).await;
        step = (step * 2).min(STEP_MAX);
    }
}

/// Every process that was started for the app.
async fn marked(
    root: &RootConfig,
    app: &AppName,
    generation: Option<u64>,
) -> Result<Vec<i32>, Refusal> {
    let (all, one) = (format!("STATIOND_UNIT={}/{app}/", root.instance), generation);
    let one = one.map(|generation| format!("STATIOND_UNIT={}", root.unit(app, generation)));
    let wanted = move |entry: &[u8]| match &one {
        Some(one) => entry == one.as_bytes(),
        None => entry.starts_with(all.as_bytes()),
    };
    environment::find(wanted, limits::KILL_WAIT).await.map_err(|error| {
        let error = Chain(&error);
        Refusal::StartFailed(format!("what is left of an earlier run is not known: {error}"))
    })
}

/// A keeper that has only just started has no `keeper.json` yet; its lock names it.
fn holder(folder: &Folder) -> Option<i32> {
    if !folder.lock().exists() {
        return None;
    }
    match file::lock(&folder.lock(), "") {
        Ok(Err(holder)) => holder.0.parse().ok(),
        _ => None,
    }
}

fn end(pid: i32) {
    if let Err(error) = process::signal(pid, Signal::SIGKILL) {
        tracing::debug!(pid, %error, "a left-over process cannot be killed");
    }
}
