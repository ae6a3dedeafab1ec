//! The keeper's loop: one `poll`, then signals, output, clients and deadlines in turn.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::clients::Clients;
use super::files::{Exit, Folder, Kept, Order, State, StopBy, VERSION};
use super::output::Output;
use crate::base::limits;
use crate::os::{clock, file, process};

/// How often the tree is looked at while it is being killed, and the exit file tried again.
const KILL_STEP: Duration = Duration::from_millis(10);
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// The grace of a SIGTERM, which brings no number.
const SIGNAL_GRACE: Duration = limits::APP_STOP;

/// What the keeper listens to.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) folder: Folder,
    pub(super) signals: SignalFd,
    pub(super) listener: UnixListener,
    pub(super) output: Output,
    pub(super) _lock: file::Locked,
}

/// A running app and who may speak about it.
#[derive(Debug)]
pub(super) struct Keeper {
    parts: Parts,
    kept: Kept,
    started: Duration,
    clients: Clients,
    stopping: Option<Stopping>,
    /// How the main process ended: exit code or signal.
    ended: Option<(Option<i32>, Option<i32>)>,
    taken: bool,
    told_dropping: bool,
}

#[derive(Debug)]
struct Stopping {
    by: StopBy,
    deadline: Duration,
    forced: bool,
}

impl Keeper {
    pub(super) fn new(parts: Parts, kept: Kept) -> Self {
        Self {
            parts,
            kept,
            started: clock::since_boot(),
            clients: Clients::default(),
            stopping: None,
            ended: None,
            taken: false,
            told_dropping: false,
        }
    }

    pub(super) fn present(&self) -> State {
        State {
            kept: self.kept.clone(),
            stopping: self.stopping.is_some(),
            dropped_bytes: self.parts.output.dropped(),
            exit: None,
        }
    }

    /// Until the app has ended and its end is written, or known to somebody.
    pub(super) fn keep(mut self) -> ExitCode {
        let mut more_output = false;
        while self.ended.is_none() {
            let limit = if more_output { Some(Duration::ZERO) } else { self.until_deadline() };
            self.wait(limit);
            more_output = self.turn();
            if self.until_deadline() == Some(Duration::ZERO) {
                self.force();
            }
        }
        let killed = self.end_tree();
        while self.parts.output.pump() {}
        let exit = self.exit(killed);
        let state = State { exit: Some(exit.clone()), ..self.present() };
        self.clients.tell(&state);
        self.leave(&exit, &state)
    }

    /// Everything that may have come; `true` if the app has more output.
    fn turn(&mut self) -> bool {
        self.take_signals();
        let more = self.parts.output.pump();
        let dropping = self.parts.output.dropped() > 0;
        if dropping && !self.told_dropping {
            self.told_dropping = true;
            let state = self.present();
            self.clients.tell(&state);
        }
        let state = self.present();
        self.clients.accept(&self.parts.listener, &state);
        for order in self.clients.orders() {
            self.obey(&order);
        }
        more
    }

    fn wait(&self, limit: Option<Duration>) {
        let mut watched = vec![
            PollFd::new(self.parts.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.parts.listener.as_fd(), PollFlags::POLLIN),
        ];
        let output = self.parts.output.descriptor();
        watched.extend(
            output
                .into_iter()
                .chain(self.clients.descriptors())
                .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)),
        );
        let limit = limit.map_or(PollTimeout::NONE, |limit| {
            // Rounded up, so that a deadline has passed when poll comes back.
            let ms = limit.as_micros().div_ceil(1000);
            PollTimeout::try_from(i32::try_from(ms).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
        });
        // An interrupted or failed wait only means looking once more.
        drop(poll(&mut watched, limit).map_err(io::Error::from));
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.parts.signals.read_signal() {
            // SIGINT, SIGHUP and SIGQUIT come from somebody's terminal and are not for the app.
            if i32::try_from(signal.ssi_signo) == Ok(Signal::SIGTERM as i32) {
                self.stop(SIGNAL_GRACE, StopBy::Signal);
            }
        }
        self.reap();
    }

    /// Takes every ended child, adopted ones too, and remembers how the main one ended.
    fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == self.kept.app.pid => {
                    self.ended = Some((Some(code), None));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == self.kept.app.pid => {
                    self.ended = Some((None, Some(signal as i32)));
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn obey(&mut self, order: &Order) {
        match order {
            Order::Stop { grace_ms, by } => self.stop(Duration::from_millis(*grace_ms), *by),
            Order::Kill { by } => self.stop(Duration::ZERO, *by),
            Order::Taken => self.taken = true,
        }
    }

    /// Asks the app to end. A second stop may shorten the grace, never lengthen it.
    fn stop(&mut self, grace: Duration, by: StopBy) {
        let deadline = clock::since_boot().saturating_add(grace);
        if let Some(stopping) = &mut self.stopping {
            stopping.deadline = stopping.deadline.min(deadline);
            return;
        }
        self.stopping = Some(Stopping { by, deadline, forced: false });
        let main = self.kept.app.pid;
        // A stopped process (SIGSTOP) acts on SIGTERM only after SIGCONT. The group may be gone.
        drop(process::signal_group(main, Signal::SIGTERM));
        drop(process::signal_group(main, Signal::SIGCONT));
        let state = self.present();
        self.clients.tell(&state);
    }

    /// How long until the grace is over; `None` if there is nothing to wait for.
    fn until_deadline(&self) -> Option<Duration> {
        let stopping = self.stopping.as_ref().filter(|s| !s.forced)?;
        Some(stopping.deadline.saturating_sub(clock::since_boot()))
    }

    fn force(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.forced = true;
        }
        kill_all_below();
    }

    /// Kills whatever is below until nothing is left; returns how many there were, and are.
    fn end_tree(&mut self) -> (u32, u32) {
        let deadline = clock::since_boot().saturating_add(limits::KILL_WAIT);
        let mut seen = BTreeSet::new();
        loop {
            self.reap();
            let left = kill_all_below();
            seen.extend(left.iter().copied());
            let late = clock::since_boot() >= deadline;
            if left.is_empty() || late {
                let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
                return (count(seen.len()), count(left.len()));
            }
            self.wait(Some(KILL_STEP));
            self.turn();
        }
    }

    fn exit(&self, (killed, left): (u32, u32)) -> Exit {
        let now = clock::now();
        let (code, signal) = self.ended.unwrap_or_default();
        let ran = now.mono.saturating_sub(self.started);
        Exit {
            version: VERSION,
            generation: self.kept.generation,
            unit: self.kept.unit.clone(),
            code,
            signal,
            at: now.wall.as_millisecond(),
            ran_ms: u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
            asked: self.stopping.as_ref().map(|stopping| stopping.by),
            forced: self.stopping.as_ref().is_some_and(|s| s.forced),
            dropped_bytes: self.parts.output.dropped(),
            killed,
            left,
        }
    }

    /// Writes the end down, again and again while the disk is full, unless somebody has taken it.
    fn leave(mut self, exit: &Exit, state: &State) -> ExitCode {
        let bytes = serde_json::to_vec_pretty(exit).unwrap_or_default();
        let path = self.parts.folder.exit();
        while file::write_atomic(&path, &bytes, 0o600).is_err() && !self.taken {
            self.wait(Some(WRITE_AGAIN));
            self.clients.accept(&self.parts.listener, state);
            for order in self.clients.orders() {
                self.obey(&order);
            }
            self.reap();
        }
        drop(std::fs::remove_file(self.parts.folder.socket()));
        ExitCode::SUCCESS
    }
}

/// SIGKILL to every living process below us; returns those that were there.
fn kill_all_below() -> Vec<i32> {
    let below = process::descendants(nix::unistd::getpid().as_raw());
    let living: Vec<i32> = below
        .into_iter()
        .filter(|pid| process::Stat::read(*pid).is_some_and(|stat| stat.state != 'Z'))
        .collect();
    for pid in &living {
        // Another user's process (sudo) may refuse; it is counted as left.
        drop(process::signal(*pid, Signal::SIGKILL));
    }
    living
}

/// For a start that failed half-way: nothing may be left.
pub(super) fn kill_below() {
    while !kill_all_below().is_empty() {
        drop(waitpid(None, Some(WaitPidFlag::WNOHANG)).map_err(io::Error::from));
        drop(poll(&mut [], PollTimeout::from(10_u8)).map_err(io::Error::from));
    }
}
