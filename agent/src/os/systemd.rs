//! What stationd tells systemd, by `sd_notify(3)`. Without systemd every call does nothing.

pub mod look;
pub mod passed;

use std::time::Duration;

use sd_notify::NotifyState;

/// Start-up is over.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The stop has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Everything is well: the watchdog starts to count anew.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How long the watchdog waits for [`alive`] before it ends this process; `None` without one.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
