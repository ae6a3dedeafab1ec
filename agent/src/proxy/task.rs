//! Closes connections to apps that lay idle too long, and forgets the pools of apps that are gone.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use crate::base::limits;
use crate::proxy::Inner;

pub(super) async fn sweep(inner: Arc<Inner>) {
    let cancel = inner.tasks.token().clone();
    let mut ticks = interval(limits::APP_IDLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Cancel-safe: `cancelled` holds nothing.
            () = cancel.cancelled() => return,
            // Cancel-safe: a tick that is not taken comes again.
            _ = ticks.tick() => inner.sweep(),
        }
    }
}
