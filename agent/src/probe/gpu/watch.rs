//! The call that is being made, and a thread that says aloud when it does not return.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use station_proto::gpu::GpuCall;

use super::latency::Latencies;
use super::{Code, Said};
use crate::os::clock;

/// A call that takes longer is told of, every second.
const SLOW: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_secs(1);

/// Knows what call is under way; clones share it.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Function, place on the bus, since when.
    call: Option<(&'static str, Option<String>, Duration)>,
    busy: bool,
    ended: bool,
    told: bool,
    latencies: Latencies,
}

impl Watch {
    /// Makes a call, and measures it.
    pub(super) fn call<T>(
        &self,
        name: &'static str,
        pci: Option<&str>,
        call: impl FnOnce() -> Result<T, Code>,
    ) -> Result<T, Code> {
        let started = clock::since_boot();
        {
            let mut state = self.state();
            state.call = Some((name, pci.map(str::to_owned), started));
        }
        let result = call();
        let took = clock::since_boot().saturating_sub(started);
        let mut state = self.state();
        state.call = None;
        state.latencies.note(name, took);
        result
    }

    /// Calls follow, or are over: between rounds there is nothing to look at, and nobody wakes.
    pub(super) fn busy(&self, busy: bool) {
        self.state().busy = busy;
        self.0.changed.notify_all();
    }

    /// Nothing is looked at any more.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.0.changed.notify_all();
    }

    pub(super) fn latencies(&self) -> Vec<GpuCall> {
        self.state().latencies.all()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is counted here stays right whatever a thread died of.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for ever; `say` tells what is slow and what has returned.
    pub(super) fn look(&self, say: impl Fn(Said)) {
        let mut state = self.state();
        while !state.ended {
            state = if state.busy || state.told {
                let waited = self.0.changed.wait_timeout(state, LOOK);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
            let age = |since: Duration| clock::since_boot().saturating_sub(since);
            match &state.call {
                Some((call, pci, since)) if age(*since) >= SLOW => {
                    let for_ms = u64::try_from(age(*since).as_millis()).unwrap_or(u64::MAX);
                    say(Said::Slow { call: (*call).to_owned(), pci: pci.clone(), for_ms });
                    state.told = true;
                }
                _ if state.told => {
                    say(Said::Returned);
                    state.told = false;
                }
                _ => {}
            }
        }
    }
}
