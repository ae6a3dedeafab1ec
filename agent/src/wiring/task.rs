//! Waits for the end of the daemon, and ends it in order.

use super::start::Running;
use super::{End, StartError};
use crate::base::tasks::Ended;
use crate::lifecycle;
use crate::os::signals::Stop;
use crate::os::systemd;

/// Why the parts end.
enum Cause {
    Signal(&'static str),
    Down,
    Mended,
    Part(Ended),
}

/// Returns when every part has ended.
pub(super) async fn until_end(mut running: Running, stop: &mut Stop) -> Result<End, StartError> {
    let cause = cause(&mut running, stop).await;
    if !matches!(cause, Cause::Mended) {
        systemd::stopping();
        running.facts.send_modify(|facts| facts.stopping = true);
    }
    tell(&cause, &running);
    end(running).await;
    match cause {
        Cause::Signal(_) | Cause::Down => Ok(End::Stopped),
        Cause::Mended => Ok(End::Again),
        Cause::Part(ended) => Err(StartError::PartEnded(ended.name)),
    }
}

async fn cause(running: &mut Running, stop: &mut Stop) -> Cause {
    let mut pulse = running.tasks.pulse("main");
    loop {
        return tokio::select! {
            // cancel-safe: Stop::came loses nothing
            signal = stop.came() => Cause::Signal(signal),
            // cancel-safe: a token loses nothing
            () = running.down.cancelled() => Cause::Down,
            // cancel-safe: a token loses nothing
            () = running.again.cancelled() => Cause::Mended,
            // cancel-safe: Receiver::recv loses nothing
            Some(ended) = running.ended.recv() => Cause::Part(ended),
            // cancel-safe: Pulse::sign is
            () = pulse.sign() => continue,
        };
    }
}

fn tell(cause: &Cause, running: &Running) {
    match cause {
        Cause::Signal(signal) => {
            let still_running = still(running);
            tracing::info!(signal, still_running, "stopping");
        }
        Cause::Down => tracing::info!("stopping: every app has been stopped"),
        Cause::Mended => {}
        Cause::Part(Ended { name, panicked }) => {
            tracing::error!(part = name, panicked, "a part ended");
        }
    }
}

/// The order and the limits stand in `lifecycle`.
async fn end(running: Running) {
    running.tasks.cancel();
    let limit = lifecycle::DRAIN.limit + lifecycle::TASKS.limit;
    if tokio::time::timeout(limit, running.tasks.joined()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
    // Last, so that what the tasks wrote at their end is kept.
    running.store.close().await;
}

/// The apps that go on without us, for the person who stopped us.
fn still(running: &Running) -> String {
    let seen = running.apps.seen();
    let left: Vec<String> = seen
        .borrow()
        .iter()
        .filter_map(|app| Some(format!("{} (pid {})", app.name, app.pid?)))
        .collect();
    if left.is_empty() { "nothing".to_owned() } else { left.join(", ") }
}
