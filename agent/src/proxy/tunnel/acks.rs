//! Tells an app's attendant how much of a websocket the client's own socket has taken: what it has
//! not is said again after our end, however that comes.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::os::socket::handed;
use crate::os::socket::hold::Hold;

/// The writing end of a pipe whose other end the attendant reads.
#[derive(Debug)]
pub(in crate::proxy) struct Acks {
    /// Absent when nobody listens any more: nothing is kept then.
    pipe: Option<pipe::Sender>,
    /// Bytes of the app that were written to the client.
    written: u64,
    /// Those of them that its socket has.
    through: u64,
    said: u64,
    /// What is written from now on is not the app's.
    over: bool,
    /// Keeps from the client what is not acknowledged yet. Else it might see to our end in between, and
    /// the kernel of the system lets a process that it wakes run first.
    hold: Option<Arc<Hold>>,
}

impl Acks {
    /// Makes the pipe, and gives the other end away.
    pub(in crate::proxy) async fn hand_over(stream: &UnixStream) -> io::Result<Self> {
        let (pipe, other_end) = pipe::pipe()?;
        handed::give(stream, other_end.as_fd()).await?;
        Ok(Self { pipe: Some(pipe), written: 0, through: 0, said: 0, over: false, hold: None })
    }

    /// With the client's connection, if that can hold back what is written.
    pub(super) fn with(mut self, hold: Option<Arc<Hold>>) -> Self {
        self.hold = hold;
        self
    }

    /// Before something is written: the client is not to see it yet.
    pub(super) fn hold(&self) {
        if let Some(hold) = &self.hold {
            hold.hold();
        }
    }

    /// It may, with the next flush.
    pub(super) fn let_go(&self) {
        if let Some(hold) = &self.hold {
            hold.let_go();
        }
    }

    pub(super) fn wrote(&mut self, bytes: usize) {
        if !self.over {
            self.written = self.written.saturating_add(bytes as u64);
        }
    }

    /// No layer above the client's socket holds anything back.
    pub(super) fn flushed(&mut self) {
        self.through = self.written;
    }

    /// Bytes of our own follow.
    pub(super) fn over(&mut self) {
        self.over = true;
    }

    /// Says so. A pipe takes so few bytes whole or not at all (pipe(7)); one that is full makes the
    /// tunnel wait, since what is not said is doubled at our end.
    pub(super) fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pipe) = self.pipe.as_mut().filter(|_| self.said < self.through) else {
            return Poll::Ready(());
        };
        let word = self.through.to_le_bytes();
        match std::task::ready!(Pin::new(pipe).poll_write(cx, &word)) {
            Ok(_whole) => self.said = self.through,
            Err(_gone) => self.pipe = None,
        }
        Poll::Ready(())
    }
}
