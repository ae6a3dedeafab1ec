//! The two ends of a kernel's websocket and the bytes between them. Nothing here waits.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::head::{Answered, Asked};
use super::kept::Kept;
use super::{ACKNOWLEDGED, Newcomer, within};
use crate::base::frames::{self, Frames};
use crate::base::limits;

/// Bytes that are read at once, and that may wait for the other end.
const AHEAD: usize = 64 * 1024;
const READ: usize = 16 * 1024;

/// stationd's side.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: UnixStream,
    /// Absent once stationd has closed it.
    pub(super) acks: Option<pipe::Receiver>,
    /// It has been told that the app says nothing more.
    pub(super) told: bool,
    _slot: OwnedSemaphorePermit,
}

impl Client {
    pub(super) fn new(
        stream: UnixStream,
        acks: pipe::Receiver,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { stream, acks: Some(acks), told: false, _slot: slot }
    }
}

/// A websocket that Jupyter has let in.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) app: Option<UnixStream>,
    pub(super) client: Option<Client>,
    /// Who has come to take the client's place.
    pub(super) next: Option<Newcomer>,
    /// Until when somebody has to come, or Jupyter has to close.
    pub(super) deadline: Option<Instant>,
    pub(super) asked: Asked,
    pub(super) answered: Answered,
    closing: bool,
    up: Frames,
    /// From the client, on its way to the app.
    pending: BytesMut,
}

impl Line {
    pub(super) fn new(app: UnixStream, client: Client, asked: Asked, answered: Answered) -> Self {
        Self {
            app: Some(app),
            client: Some(client),
            next: None,
            deadline: None,
            asked,
            answered,
            closing: false,
            up: Frames::default(),
            pending: BytesMut::new(),
        }
    }

    /// What the app's end is waited for.
    pub(super) fn app_interest(&self, kept: &Kept) -> Option<Interest> {
        let room = match self.client {
            Some(_) => kept.unsent().len() < AHEAD,
            None => kept.len() < limits::KEPT_BYTES,
        };
        let writes = !self.pending.is_empty();
        either(room.then_some(Interest::READABLE), writes.then_some(Interest::WRITABLE))
    }

    /// What stationd's end is waited for.
    pub(super) fn client_interest(&self, kept: &Kept) -> Option<Interest> {
        let (room, writes) = (self.pending.len() < AHEAD, !kept.unsent().is_empty());
        either(room.then_some(Interest::READABLE), writes.then_some(Interest::WRITABLE))
    }

    /// Moves bytes between the ends as far as they go now.
    pub(super) fn app_is_ready(&mut self, kept: &mut Kept) {
        self.write_app();
        let Some(app) = &self.app else { return };
        let mut space = [0; READ];
        match app.try_read(&mut space) {
            Ok(count) if count > 0 => {
                kept.said(space.get(..count).unwrap_or_default());
                self.write_client(kept);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ended => self.app = None,
        }
    }

    /// The same from the other end. False if that has ended.
    pub(super) fn client_is_ready(&mut self, kept: &mut Kept) -> bool {
        self.write_client(kept) && self.read_client()
    }

    /// Reads what stationd has acknowledged.
    pub(super) fn take_acks(&mut self, kept: &mut Kept) {
        let Some(client) = &mut self.client else { return };
        let mut space = [0; ACKNOWLEDGED * 64];
        while let Some(acks) = &client.acks {
            match acks.try_read(&mut space) {
                Ok(count) if count > 0 && count.is_multiple_of(ACKNOWLEDGED) => {
                    let read = space.get(..count).unwrap_or_default();
                    if let Some(last) = read.last_chunk() {
                        kept.acknowledged(u64::from_le_bytes(*last));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ended => client.acks = None,
            }
        }
    }

    /// stationd's connection has ended, or another takes its place: what it has said still counts.
    /// The runtime may not have heard of that yet, so the kernel of the system is asked.
    pub(super) fn detach(&mut self, kept: &mut Kept) {
        let Some(client) = self.client.take() else { return };
        let mut space = [0; READ];
        let through = |acks: &pipe::Receiver, space: &mut [u8]| {
            let count = rustix::io::read(acks, &mut *space).unwrap_or_default();
            space.get(..count).and_then(<[u8]>::last_chunk).copied()
        };
        while let Some(last) = client.acks.as_ref().and_then(|acks| through(acks, &mut space)) {
            kept.acknowledged(u64::from_le_bytes(last));
        }
        // More than the limit lies in no socket's buffer.
        while self.pending.len() < limits::KEPT_BYTES {
            let count = rustix::io::read(&client.stream, &mut space[..]).unwrap_or_default();
            match space.get(..count) {
                Some(read) if count > 0 => self.pass_up(read),
                _ => break,
            }
        }
        self.deadline = Some(within(limits::ABSENT));
    }

    /// The client has said that it goes: nobody comes for what is kept.
    pub(super) fn is_over(&self) -> bool {
        self.up.closed()
    }

    /// Whether a newcomer can go on where the last client has stopped.
    pub(super) fn goes_on_with(&self, newcomer: &Newcomer, kept: &Kept) -> bool {
        let same = newcomer.asked.is_judged_as(&self.asked);
        let ends = self.closing || self.up.closed() || kept.closed();
        self.app.is_some() && !ends && same && self.up.between_messages()
    }

    /// Goes on with a newcomer. False if that has left already.
    pub(super) fn attach(&mut self, newcomer: Newcomer) -> bool {
        let Newcomer { stream, acks, asked, slot, .. } = newcomer;
        let head = self.answered.again(&asked);
        // A new connection has room for a head.
        if stream.try_write(&head).ok() != Some(head.len()) {
            return false;
        }
        self.client = Some(Client::new(stream, acks, slot));
        self.deadline = None;
        true
    }

    /// Asks Jupyter to close; up to then it says what it has to say. Again: it had its time.
    pub(super) fn close(&mut self) {
        if self.closing {
            self.app = None;
            return;
        }
        self.closing = true;
        self.deadline = Some(within(limits::JUPYTER_CLOSES));
        if self.up.closed() {
            return;
        }
        if self.up.at_boundary() {
            self.pending.extend_from_slice(&frames::close_masked(frames::GOING_AWAY));
            self.write_app();
        } else if let Some(app) = &self.app {
            // Inside of a frame there is no place for a Close. An app that is gone needs none.
            rustix::net::shutdown(app, rustix::net::Shutdown::Write).unwrap_or_default();
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    fn read_client(&mut self) -> bool {
        let Some(client) = &self.client else { return false };
        let mut space = [0; READ];
        match client.stream.try_read(&mut space) {
            Ok(count) if count > 0 => {
                self.pass_up(space.get(..count).unwrap_or_default());
                true
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => false,
        }
    }

    fn pass_up(&mut self, bytes: &[u8]) {
        self.up.feed(bytes);
        self.pending.extend_from_slice(bytes);
        self.write_app();
    }

    fn write_app(&mut self) {
        while let Some(app) = self.app.as_ref().filter(|_| !self.pending.is_empty()) {
            match app.try_write(&self.pending) {
                Ok(count) => self.pending.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // How it has ended, reading tells.
                Err(_) => self.pending.clear(),
            }
        }
        self.pending = BytesMut::new();
    }

    fn write_client(&mut self, kept: &mut Kept) -> bool {
        let Some(client) = &self.client else { return false };
        while !kept.unsent().is_empty() {
            match client.stream.try_write(kept.unsent()) {
                Ok(count) => kept.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        true
    }
}

/// Either or both.
fn either(read: Option<Interest>, write: Option<Interest>) -> Option<Interest> {
    read.into_iter().chain(write).reduce(|read, write| read | write)
}
