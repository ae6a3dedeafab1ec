//! Ends what is left of an app whose keeper is gone: found by the environment that all inherit.
//!
//! A process that cleared its environment is not found; nothing on Linux without control groups
//! finds it.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use super::keeper::files::{Folder, Kept};
use super::{Refusal, RootConfig, keeper};
use crate::base::ids::AppName;
use crate::base::limits;
use crate::os::{clock, file, process};

/// How long after a round of SIGKILL the next look is taken.
const STEP: std::time::Duration = std::time::Duration::from_millis(20);

/// Kills until nothing is left; says how many there were.
pub(super) async fn sweep(
    root: &RootConfig,
    app: &AppName,
    generation: Option<u64>,
) -> Result<u32, Refusal> {
    // A keeper that hangs holds its app like one that is gone; it comes first, or it would note
    // the end of its app as an end that nobody asked for.
    let folder = Folder::of(&root.keepers, app);
    let kept: Option<Kept> = keeper::read(&folder.kept());
    let kept = kept.filter(|kept| generation.is_none_or(|wanted| wanted == kept.generation));
    if let Some(kept) = kept.filter(|kept| kept.keeper.alive()) {
        end(kept.keeper.pid);
    }
    let deadline = clock::since_boot() + limits::KILL_WAIT;
    let mut killed = BTreeSet::new();
    loop {
        let mut left = if let Some(generation) = generation {
            process::with_environment(&format!("STATIOND_UNIT={}", root.unit(app, generation)))
        } else {
            let start = format!("STATIOND_UNIT={}/{app}/", root.instance);
            process::with_environment_start(&start)
        };
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
        tokio::time::sleep(STEP).await;
    }
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
