//! One direction of a tunnel: bytes go through unaltered, frame borders are noted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::acks::Acks;
use super::buffers::{Buffer, Buffers};
use crate::base::frames::{Frames, Seen};

/// What is acknowledged goes out in pieces of one TLS record each, RFC 8446 section 5.1: a client has
/// all of one or nothing, and what it has must be known before more is written.
const RECORD: usize = 16 * 1024;

/// How far a direction has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    /// Reading waits at the next frame border.
    StopsAtBoundary,
    /// Nothing more will be read; what waits goes out, and the other end stays open.
    LastWord,
    /// The end has come and is not passed on yet.
    Held,
    /// Nothing more will be read; what waits still goes out.
    ReadAll,
    /// The end has been passed on.
    Done,
}

/// The state of one direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Present only while bytes wait in it.
    buffer: Option<Buffer>,
    start: usize,
    end: usize,
    frames: Frames,
    /// Written, but perhaps still inside the TLS layer.
    unflushed: bool,
    flow: Flow,
    /// The end is not to be passed on by itself.
    holds: bool,
    /// Who wants to know what has been passed on.
    acks: Option<Acks>,
}

impl Half {
    /// One whose bytes are acknowledged.
    pub(super) fn acknowledged(acks: Option<Acks>) -> Self {
        Self { acks, ..Self::default() }
    }

    /// What this direction has not passed on is not lost with it.
    pub(super) fn is_kept(&self) -> bool {
        self.acks.is_some()
    }

    pub(super) fn is_done(&self) -> bool {
        self.flow == Flow::Done
    }

    /// Whether a Close has gone through.
    pub(super) fn closed(&self) -> bool {
        self.frames.closed()
    }

    /// From now on the end of this direction waits to be passed on with [`Half::finish`] or
    /// [`Half::close_with`].
    pub(super) fn hold_end(&mut self) {
        self.holds = true;
    }

    /// Passes the end on, after whatever waits.
    pub(super) fn finish(&mut self) {
        if self.flow != Flow::Done {
            self.flow = Flow::ReadAll;
        }
    }

    /// Nothing waits, more may come, and its first byte begins a frame.
    pub(super) fn at_boundary(&self) -> bool {
        let more = !matches!(self.flow, Flow::ReadAll | Flow::LastWord);
        self.buffer.is_none() && more && self.frames.at_boundary()
    }

    /// Queues a frame of our own as the last one, and the end after it. Only at a boundary.
    pub(super) fn close_with(&mut self, frame: &[u8], buffers: &Arc<Buffers>) {
        self.queue(frame, buffers);
        self.flow = Flow::ReadAll;
    }

    /// Queues a frame of our own as the last one; the other end stays open. Only at a boundary.
    pub(super) fn say(&mut self, frame: &[u8], buffers: &Arc<Buffers>) {
        self.queue(frame, buffers);
        self.flow = Flow::LastWord;
    }

    fn queue(&mut self, frame: &[u8], buffers: &Arc<Buffers>) {
        if let Some(acks) = &mut self.acks {
            acks.over();
        }
        let mut buffer = buffers.take();
        for (place, byte) in buffer.bytes.iter_mut().zip(frame) {
            *place = *byte;
        }
        (self.start, self.end) = (0, frame.len());
        self.buffer = Some(buffer);
    }

    /// From now on reading stops at the next frame border.
    pub(super) fn stop_at_boundary(&mut self) {
        if self.flow == Flow::Open {
            self.flow = Flow::StopsAtBoundary;
        }
    }

    /// Moves bytes as far as they go. Ready when the direction has ended.
    pub(super) fn poll<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (&mut R, &mut W),
        buffers: &Arc<Buffers>,
        seen: &mut impl FnMut(Seen, usize),
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.write(cx, to))?;
            if self.flow == Flow::ReadAll {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.flow = Flow::Done;
                return Poll::Ready(Ok(()));
            }
            match self.flow {
                Flow::Held => return Poll::Ready(Ok(())),
                Flow::LastWord => return Poll::Pending,
                Flow::StopsAtBoundary if self.at_boundary() => return Poll::Pending,
                _ => {}
            }
            let mut buffer = buffers.take();
            let mut space = ReadBuf::new(&mut buffer.bytes);
            match ready!(Pin::new(&mut *from).poll_read(cx, &mut space)) {
                // However it ended, what is said at the end is not said by this side.
                Err(_) if self.holds => self.flow = Flow::Held,
                read => read?,
            }
            if self.flow == Flow::Held {
                continue;
            }
            let read = space.filled();
            if read.is_empty() {
                self.flow = if self.holds { Flow::Held } else { Flow::ReadAll };
            } else {
                let found = self.frames.feed(read);
                seen(found, read.len());
                (self.start, self.end) = (0, read.len());
                self.buffer = Some(buffer);
            }
        }
    }

    fn write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.unflushed {
                ready!(Pin::new(&mut *to).poll_flush(cx))?;
                self.unflushed = false;
                if let Some(acks) = &mut self.acks {
                    acks.flushed();
                }
            }
            if let Some(acks) = &mut self.acks {
                ready!(acks.poll_say(cx));
                acks.let_go();
                ready!(Pin::new(&mut *to).poll_flush(cx))?;
            }
            let Some(buffer) = &self.buffer else { return Poll::Ready(Ok(())) };
            let left = buffer.bytes.get(self.start..self.end).unwrap_or_default();
            if left.is_empty() {
                self.buffer = None;
                self.unflushed = self.acks.is_none();
                continue;
            }
            let written = match &mut self.acks {
                None => ready!(Pin::new(&mut *to).poll_write(cx, left))?,
                Some(acks) => {
                    acks.hold();
                    let piece = left.get(..RECORD).unwrap_or(left);
                    let polled = Pin::new(&mut *to).poll_write(cx, piece);
                    if polled.is_pending() {
                        // What was written before waits for nothing.
                        acks.let_go();
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        return Poll::Pending;
                    }
                    let written = ready!(polled)?;
                    acks.wrote(written);
                    self.unflushed = true;
                    written
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += written;
        }
    }
}
