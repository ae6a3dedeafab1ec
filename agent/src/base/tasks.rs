//! Tasks with a name, an owner and an end that somebody sees.
//!
//! Two kinds: a *part* runs as long as the daemon does, so its end is reported; *work* (a
//! connection, a request) comes and goes. Both are told to stop by the same token. A part whose
//! loop must never hang has a [`pulse`].

pub mod pulse;

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::base::limits;
use pulse::{Pulse, Pulses};

/// A part of the daemon ended; `panicked` says how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub name: &'static str,
    pub panicked: bool,
}

/// Starts tasks. Clones share the tracker and the token.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
    ended: mpsc::Sender<Ended>,
    pulses: Pulses,
}

impl Tasks {
    /// The second value yields every part that ends.
    pub fn new() -> (Self, mpsc::Receiver<Ended>) {
        Self::watched(Pulses::default())
    }

    /// Tasks whose loops somebody asks for a sign now and then.
    pub fn watched(pulses: Pulses) -> (Self, mpsc::Receiver<Ended>) {
        let (ended, ended_rx) = mpsc::channel(limits::COMMANDS);
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        (Self { tracker, cancel, ended, pulses }, ended_rx)
    }

    /// For a loop that must go round as long as it lives.
    pub fn pulse(&self, name: impl Into<String>) -> Pulse {
        self.pulses.join(name)
    }

    /// Cancelled when the daemon stops.
    pub fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Runs a part. Its end is reported, except after [`Tasks::cancel`].
    pub fn part<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (ended, cancel) = (self.ended.clone(), self.cancel.clone());
        let span = info_span!("task", name);
        let inner = self.spawn(future.instrument(span));
        self.spawn(async move {
            let panicked = inner.await.is_err();
            if !cancel.is_cancelled() {
                drop(ended.send(Ended { name, panicked }).await);
            }
        });
    }

    /// Runs a piece of work that comes and goes, until it ends.
    pub fn work<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.spawn(future));
    }

    /// Runs a piece of work on another event loop than the caller's.
    pub fn work_on<F>(&self, event_loop: &Handle, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.tracker.spawn_on(future, event_loop));
    }

    /// Tells every task to stop.
    pub fn cancel(&self) {
        self.cancel.cancel();
        self.tracker.close();
    }

    /// Returns when every task has ended. Call [`Tasks::cancel`] first.
    pub async fn joined(&self) {
        self.tracker.wait().await;
    }

    fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_part_is_reported_and_a_panic_named() {
        let (tasks, mut ended) = Tasks::new();
        tasks.part("quiet", async {});
        assert_eq!(ended.recv().await, Some(Ended { name: "quiet", panicked: false }));
        tasks.part("loud", async { panic!("on purpose") });
        assert_eq!(ended.recv().await, Some(Ended { name: "loud", panicked: true }));
        tasks.cancel();
        tasks.joined().await;
    }
}
