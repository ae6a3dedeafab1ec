//! Ends what is left of an app whose keeper is gone: found by the environment that all inherit.
//!
//! A process that cleared its environment is not found; nothing on Linux without control groups
//! finds it.

use nix::sys::signal::Signal;

use super::keeper::files::{Folder, Kept};
use super::{Refusal, RootConfig, keeper};
use crate::base::ids::AppName;
use crate::base::limits;
use crate::os::{clock, process};

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
    let kept: Option<Kept> = keeper::read(&Folder::of(&root.keepers, app).kept());
    let kept = kept.filter(|kept| generation.is_none_or(|wanted| wanted == kept.generation));
    if let Some(kept) = kept.filter(|kept| kept.keeper.alive()) {
        drop(process::signal(kept.keeper.pid, Signal::SIGKILL));
    }
    let deadline = clock::since_boot() + limits::KILL_WAIT;
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let left = match generation {
            Some(generation) => {
                process::with_environment(&format!("STATIOND_UNIT={}", root.unit(app, generation)))
            }
            None => {
                process::with_environment_start(&format!("STATIOND_UNIT={}/{app}/", root.instance))
            }
        };
        let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
        if left.is_empty() {
            return Ok(count(killed.len()));
        }
        if clock::since_boot() > deadline {
            return Err(Refusal::LeftRunning { app: app.clone(), left: count(left.len()) });
        }
        for pid in left {
            if let Err(error) = process::signal(pid, Signal::SIGKILL) {
                tracing::debug!(pid, %error, "a left-over process cannot be killed");
            }
            killed.insert(pid);
        }
        tokio::time::sleep(STEP).await;
    }
}
