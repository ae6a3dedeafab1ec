//! The signals that stop the daemon.

use std::io;

use nix::sys::signal::{SigHandler, SigSet};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, from the moment this is made.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the signal that came. Cancel-safe, as `Signal::recv` is.
    pub async fn came(&mut self) -> &'static str {
        tokio::select! {
            // cancel-safe: Signal::recv loses nothing
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Blocks no signal in this thread and in those that it starts, whatever whoever started us blocked.
pub fn let_all_through() {
    // It fails for a wrong argument only.
    SigSet::empty().thread_set_mask().unwrap_or_default();
}

/// Receives `signals` by a descriptor instead of by handlers, for a process without a runtime.
///
/// They get their default action back first: one that was ignored (as a shell does for `&`) would
/// not arrive, and programs started from here would inherit that it is ignored.
pub fn by_descriptor(signals: &[nix::sys::signal::Signal]) -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in signals {
        #[expect(unsafe_code, reason = "there is no safe way to give up a signal's handler")]
        // SAFETY: the default action runs no code of ours.
        unsafe {
            nix::sys::signal::signal(*signal, SigHandler::SigDfl)?;
        }
        set.add(*signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Ends this process by a signal, as whatever it stood for was ended; returns if that is no signal
/// that ends a process.
pub fn die_of(signal: nix::sys::signal::Signal) {
    // A core file of ours would say nothing about it.
    drop(nix::sys::prctl::set_dumpable(false).map_err(io::Error::from));
    #[expect(unsafe_code, reason = "there is no safe way to give up a signal's handler")]
    // SAFETY: the default action runs no code of ours.
    unsafe {
        // SIGKILL has no other action, and says so by an error.
        drop(nix::sys::signal::signal(signal, SigHandler::SigDfl).map_err(io::Error::from));
    }
    drop(nix::sys::signal::raise(signal).map_err(io::Error::from));
}
