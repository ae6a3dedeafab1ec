//! The thread that asks every loop for a sign, tells systemd as long as all of them answer, and
//! leaves a trace when it is told to abort.
//!
//! ```text
//!   WATCHDOG_USEC / 4 ─► ask ─► everybody answered the last ask? ─► WATCHDOG=1
//!                                  '─ no: named once, and nothing is sent
//!   SIGABRT ─► who answers now, and what each thread does ─► standard error, abort.trace ─► abort
//! ```
//!
//! It is a thread of its own, because what it watches is the runtime. SIGABRT is blocked before any
//! other thread is started, so it comes here alone. Without a watchdog it only waits for that.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::trace;
use crate::base::limits;
use crate::base::tasks::pulse::{Late, Pulses};
use crate::os::{clock, file, process, signals, systemd};

/// Asks in one time of systemd's watchdog: a loop that hangs for three of them is still in time.
const ROUNDS: u32 = 4;

/// Who is late, so that each is named once until it answers again.
#[derive(Debug, Default)]
struct Vigil(BTreeSet<String>);

/// What a round comes to.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    feed: bool,
    newly_late: Vec<Late>,
    back: Vec<String>,
}

impl Vigil {
    fn round(&mut self, late: Vec<Late>) -> Verdict {
        let now: BTreeSet<String> = late.iter().map(|one| one.name.clone()).collect();
        let back = self.0.difference(&now).cloned().collect();
        let feed = late.is_empty();
        let newly_late = late.into_iter().filter(|one| !self.0.contains(&one.name)).collect();
        self.0 = now;
        Verdict { feed, newly_late, back }
    }
}

/// Starts to watch. To be called while this thread is the only one.
pub fn start(pulses: Pulses, trace: PathBuf) -> io::Result<()> {
    let aborts = signals::by_descriptor(&[Signal::SIGABRT])?;
    let every = systemd::watchdog().map(|limit| limit / ROUNDS);
    let watch = Watch { pulses, trace, aborts, every, vigil: Vigil::default() };
    let thread = std::thread::Builder::new().name("watchdog".to_owned()).stack_size(256 * 1024);
    thread.spawn(move || watch.run()).map(drop)
}

struct Watch {
    pulses: Pulses,
    /// Where a trace is left.
    trace: PathBuf,
    aborts: SignalFd,
    /// `None` without a watchdog.
    every: Option<Duration>,
    vigil: Vigil,
}

impl Watch {
    fn run(mut self) {
        loop {
            if self.every.is_some() {
                self.round();
            }
            if self.told_to_abort() {
                self.abort();
            }
        }
    }

    /// Waits for the next round, or for SIGABRT.
    fn told_to_abort(&self) -> bool {
        let wait = self.every.map_or(PollTimeout::NONE, |every| {
            // More than a minute is as good as a minute.
            PollTimeout::from(u16::try_from(every.as_millis().max(1)).unwrap_or(60_000))
        });
        let mut events = [PollFd::new(self.aborts.as_fd(), PollFlags::POLLIN)];
        // An interruption only makes the round shorter.
        poll(&mut events, wait).unwrap_or_default();
        matches!(self.aborts.read_signal(), Ok(Some(_)))
    }

    fn round(&mut self) {
        let now = clock::since_boot();
        let Verdict { feed, newly_late, back } = self.vigil.round(self.pulses.ask(now));
        if feed {
            systemd::alive();
        }
        for Late { name, since } in newly_late {
            let silent_for = trace::seconds(now, since);
            tracing::error!(name, silent_for, "a loop does not answer: the watchdog is not told");
        }
        for name in back {
            tracing::warn!(name, "the loop answers again");
        }
    }

    fn abort(&self) -> ! {
        self.pulses.ask(clock::since_boot());
        pause(limits::TRACE_SIGN);
        let threads = process::threads::own();
        let late = self.pulses.late();
        let text = trace::text(clock::now(), std::process::id(), &late, &threads);
        self.leave(&text);
        // Gives the signal its default action back, so that whoever started us sees it.
        std::process::abort()
    }

    /// Neither a full pipe nor a hung disk may keep this process from its end.
    fn leave(&self, text: &str) {
        let (done, all_done) = mpsc::channel::<()>();
        let (path, lines) = (self.trace.clone(), text.to_owned());
        let print = |text: String| move || drop(io::stderr().write_all(text.as_bytes()));
        let keep = move || write(&path, &lines);
        let jobs: [Box<dyn FnOnce() + Send>; 2] =
            [Box::new(print(text.to_owned())), Box::new(keep)];
        for job in jobs {
            let done = done.clone();
            let run = move || {
                job();
                drop(done);
            };
            let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(run);
            // Without a thread for it there is no trace; the end comes all the same.
            thread.map(drop).unwrap_or_default();
        }
        drop(done);
        // Nothing is sent: it ends when both have ended.
        all_done.recv_timeout(limits::TRACE_WRITE).unwrap_or_default();
    }
}

fn write(path: &Path, text: &str) {
    if let Err(error) = file::write_atomic(path, text.as_bytes(), 0o600) {
        let note = format!("the trace was not written to {}: {error}\n", path.display());
        // It stands on standard error already.
        io::stderr().write_all(note.as_bytes()).unwrap_or_default();
    }
}

/// Waits where there is no runtime.
fn pause(time: Duration) {
    let wait = PollTimeout::from(u16::try_from(time.as_millis()).unwrap_or(u16::MAX));
    poll(&mut [], wait).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(names: &[&str]) -> Vec<Late> {
        let late = |name: &&str| Late { name: (*name).to_owned(), since: Duration::ZERO };
        names.iter().map(late).collect()
    }

    #[test]
    fn one_silent_loop_stops_the_feeding_and_is_named_once() {
        let mut vigil = Vigil::default();
        let mut round = |silent: &[&str]| vigil.round(late(silent));
        let all_well = Verdict { feed: true, newly_late: Vec::new(), back: Vec::new() };
        assert_eq!(round(&[]), all_well);
        let named = Verdict { feed: false, newly_late: late(&["apps"]), back: Vec::new() };
        assert_eq!(round(&["apps"]), named);
        let known = Verdict { feed: false, newly_late: Vec::new(), back: Vec::new() };
        assert_eq!(round(&["apps"]), known);
        let another = Verdict { feed: false, newly_late: late(&["front"]), ..known };
        assert_eq!(round(&["apps", "front"]), another);
        let both = vec!["apps".to_owned(), "front".to_owned()];
        let back = Verdict { feed: true, newly_late: Vec::new(), back: both };
        assert_eq!(round(&[]), back);
        assert_eq!(round(&[]), all_well);
    }
}
