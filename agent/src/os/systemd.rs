//! What stationd tells systemd, by `sd_notify(3)`. Without systemd every call does nothing.

pub mod passed;

use sd_notify::NotifyState;

/// Start-up is over.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The stop has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
