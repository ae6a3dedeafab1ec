//! Once a minute: ends what has expired and writes down what was used.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Identity;
use crate::os::clock;

const EVERY: Duration = Duration::from_secs(60);

pub(super) async fn run(identity: Identity, cancel: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Cancel-safe: a tick that was not taken is due at once the next time.
            _at = tick.tick() => identity.tidy(clock::now(), false).await,
            // Cancel-safe: it stays cancelled.
            () = cancel.cancelled() => break,
        }
    }
    identity.tidy(clock::now(), true).await;
}
