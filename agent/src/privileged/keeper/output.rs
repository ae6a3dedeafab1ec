//! The app's output pipe, read as soon as there is something, and written to the log.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::log::Log;

/// Reads in one go, so that signals and clients get their turn while an app floods us.
const CHUNKS_A_TURN: usize = 16;
/// What a full pipe holds.
const CHUNK: usize = 64 * 1024;

/// The reading end and where it goes.
#[derive(Debug)]
pub(super) struct Output {
    pipe: Option<PipeReader>,
    log: Log,
    buffer: Vec<u8>,
}

impl Output {
    pub(super) fn new(pipe: PipeReader, log: Log) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pipe: Some(pipe), log, buffer: vec![0; CHUNK] })
    }

    /// What to poll; `None` once every writer is gone.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.log.dropped()
    }

    /// A line of our own.
    pub(super) fn note(&mut self, line: &str) {
        self.log.write(line.as_bytes());
    }

    /// Moves what is there; `true` if there may be more.
    pub(super) fn pump(&mut self) -> bool {
        for _ in 0..CHUNKS_A_TURN {
            let Some(pipe) = &mut self.pipe else {
                return false;
            };
            match pipe.read(&mut self.buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.log.write(self.buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
        true
    }
}
