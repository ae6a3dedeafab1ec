//! Threads that serve connections, each with an event loop of its own.
//!
//! A connection stays on the lane it was given, and so does all that its requests start. What goes
//! from one thread to another has to be woken up there.
//!
//! Not here: the accept loop, which stays with the other parts, and the daemon's own work.

use std::io;

use tokio::runtime::{Builder, Handle};
use tracing::warn;

use crate::base::tasks::Tasks;

/// The lanes, which take connections in turn.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Handle>,
    next: usize,
}

impl Lanes {
    /// Starts the lanes; they end with the last task after [`Tasks::cancel`].
    pub(super) fn start(tasks: &Tasks, count: usize) -> Self {
        let mut lanes = Vec::new();
        for number in 0..count {
            match lane(tasks, number) {
                Ok(handle) => lanes.push(handle),
                Err(error) => warn!(%error, "cannot start a thread that serves connections"),
            }
        }
        Self { lanes, next: 0 }
    }

    /// The lane of the next connection; the caller's own event loop if there is none.
    pub(super) fn next(&mut self) -> Handle {
        self.next = (self.next + 1) % self.lanes.len().max(1);
        self.lanes.get(self.next).cloned().unwrap_or_else(Handle::current)
    }
}

fn lane(tasks: &Tasks, number: usize) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    // A lane goes round as long as its event loop runs what was given to it.
    let (mut pulse, cancel) = (tasks.pulse(format!("lane-{number}")), tasks.token().clone());
    tasks.work_on(&handle, async move { pulse.wait(cancel.cancelled()).await });
    let tasks = tasks.clone();
    std::thread::Builder::new()
        .name(format!("lane-{number}"))
        .spawn(move || runtime.block_on(tasks.joined()))?;
    Ok(handle)
}
