//! One direction of a tunnel: bytes go through unaltered, frame borders are noted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffers::{Buffer, Buffers};
use crate::proxy::frames::{Frames, Seen};

/// How far a direction has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    /// Reading waits at the next frame border.
    StopsAtBoundary,
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
}

impl Half {
    pub(super) fn is_done(&self) -> bool {
        self.flow == Flow::Done
    }

    /// Nothing waits, more may come, and its first byte begins a frame.
    pub(super) fn at_boundary(&self) -> bool {
        self.buffer.is_none() && self.flow != Flow::ReadAll && self.frames.at_boundary()
    }

    /// Queues a frame of our own as the last one. Only at a boundary.
    pub(super) fn close_with(&mut self, frame: &[u8], buffers: &Arc<Buffers>) {
        let mut buffer = buffers.take();
        for (place, byte) in buffer.bytes.iter_mut().zip(frame) {
            *place = *byte;
        }
        (self.start, self.end) = (0, frame.len());
        self.buffer = Some(buffer);
        self.flow = Flow::ReadAll;
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
            if self.flow == Flow::StopsAtBoundary && self.at_boundary() {
                return Poll::Pending;
            }
            let mut buffer = buffers.take();
            let mut space = ReadBuf::new(&mut buffer.bytes);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut space))?;
            let read = space.filled();
            if read.is_empty() {
                self.flow = Flow::ReadAll;
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
        while let Some(buffer) = &self.buffer {
            let left = buffer.bytes.get(self.start..self.end).unwrap_or_default();
            if left.is_empty() {
                self.buffer = None;
                self.unflushed = true;
                break;
            }
            let written = ready!(Pin::new(&mut *to).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += written;
        }
        if self.unflushed {
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
