//! What a kernel has said and no client is known to have. Pure.
//!
//! ```text
//!   start ............ acknowledged ....... sent ........... end
//!     |--- kept until a whole message is through ---|-- waits --|
//! ```
//!
//! Places are counted in the bytes that the present connection of stationd gets. Where one ends and
//! another begins, what was not acknowledged is said again from the beginning of its message: the
//! client threw the broken one away with its connection.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use crate::base::frames::{Frame, Frames};
use crate::base::limits;

/// An empty buffer larger than this is given back.
const IDLE_BYTES: usize = 4 * 1024;

/// The bytes from the app that may be needed again.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: BytesMut,
    /// The place of the first of them.
    start: u64,
    sent: u64,
    frames: Frames,
    /// Whole frames in them, oldest first.
    whole: VecDeque<Whole>,
    /// The beginning of the first message is gone.
    torn: bool,
    /// What comes up to the end of a message belongs to one whose beginning is gone.
    skipping: bool,
}

#[derive(Debug, Clone, Copy)]
struct Whole {
    /// The place behind it.
    end: u64,
    frame: Frame,
}

impl Whole {
    fn ends_message(&self) -> bool {
        self.frame.data && self.frame.last
    }
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The app has said its Close.
    pub(super) fn closed(&self) -> bool {
        self.frames.closed()
    }

    /// What the app says next.
    pub(super) fn said(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (taken, frame) = self.frames.to_end_of_frame(bytes);
            let (these, rest) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
            bytes = rest;
            if self.skipping {
                self.skipping = !frame.is_some_and(|frame| frame.data && frame.last);
                continue;
            }
            self.bytes.extend_from_slice(these);
            let end = self.end();
            self.whole.extend(frame.map(|frame| Whole { end, frame }));
        }
    }

    /// What stationd is to get now.
    pub(super) fn unsent(&self) -> &[u8] {
        let sent = usize::try_from(self.sent.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes.get(sent..).unwrap_or_default()
    }

    pub(super) fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count as u64).min(self.end());
        // A message that is too large to be kept is passed on all the same.
        if self.bytes.len() > limits::KEPT_BYTES {
            self.torn = self.last_border(self.sent) != Some(self.sent);
            self.release(self.sent);
        }
    }

    /// So many bytes of this connection have been given to the client's own socket.
    pub(super) fn acknowledged(&mut self, through: u64) {
        if let Some(border) = self.last_border(through.min(self.sent)) {
            self.torn = false;
            self.release(border);
        }
    }

    /// Another connection of stationd takes the place of the last: it gets the messages that are
    /// kept, without ping, pong and close, which were meant for the last. Tells whether a message
    /// was too large to be kept.
    pub(super) fn rewind(&mut self) -> bool {
        let lost = self.torn;
        let old = std::mem::take(&mut self.bytes);
        let mut skipping = std::mem::take(&mut self.torn);
        let (mut at, mut rest) = (self.start, old.as_ref());
        (self.start, self.sent) = (0, 0);
        for whole in std::mem::take(&mut self.whole) {
            let length = usize::try_from(whole.end.saturating_sub(at)).unwrap_or_default();
            let (these, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            (at, rest) = (whole.end, others);
            if whole.frame.data && !skipping {
                self.bytes.extend_from_slice(these);
                let end = self.end();
                self.whole.push_back(Whole { end, frame: whole.frame });
            }
            skipping &= !whole.ends_message();
        }
        // The frame that is on its way goes on, or is left out with its message.
        if skipping {
            self.skipping = true;
        } else {
            self.bytes.extend_from_slice(rest);
        }
        lost
    }

    /// The app says nothing more: what it broke off is nothing. Tells the same as
    /// [`Kept::rewind`], which comes next.
    pub(super) fn ended(&mut self) -> bool {
        self.frames = Frames::default();
        self.skipping = false;
        while self.whole.back().is_some_and(|last| !last.ends_message()) {
            self.whole.pop_back();
        }
        let end = self.whole.back().map_or(self.start, |last| last.end);
        self.bytes.truncate(usize::try_from(end.saturating_sub(self.start)).unwrap_or_default());
        self.sent = self.sent.min(end);
        self.whole.is_empty() && std::mem::take(&mut self.torn)
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// The last place up to this one that lies inside of no message.
    fn last_border(&self, place: u64) -> Option<u64> {
        let (mut inside, mut border) = (self.torn, None);
        for whole in self.whole.iter().take_while(|whole| whole.end <= place) {
            if whole.frame.data {
                inside = !whole.frame.last;
            }
            if !inside {
                border = Some(whole.end);
            }
        }
        border
    }

    /// Forgets what stands before the place.
    fn release(&mut self, place: u64) {
        let count = usize::try_from(place.saturating_sub(self.start)).unwrap_or_default();
        self.bytes.advance(count.min(self.bytes.len()));
        self.start = place;
        while self.whole.front().is_some_and(|whole| whole.end <= place) {
            self.whole.pop_front();
        }
        if self.bytes.is_empty() && self.bytes.capacity() > IDLE_BYTES {
            self.bytes = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests;
