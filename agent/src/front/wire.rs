//! A client's connection as hyper reads it, with the reader that judges request heads.
//!
//! The stream is TCP or TLS over TCP. What comes in is shown to [`framing::Framing`], which alters
//! nothing; its findings stand in [`Watch`], where the service and the connection's task see them.
//! The slot of the connection limit lives here, so that a tunnel keeps it after the upgrade.

pub mod framing;
pub mod patience;
pub mod target;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;

use crate::os::socket::hold::Hold;
use framing::{Fault, Framing, Phase};

/// What is known about a connection from the bytes alone.
#[derive(Debug, Default)]
pub struct Watch {
    /// Something must be refused; [`Watch::fault`] says what.
    faulty: AtomicBool,
    /// With the number of its request.
    fault: Mutex<Option<(u32, Fault)>>,
    /// Set after an upgrade: what follows is not HTTP.
    off: AtomicBool,
    /// The connection ends with the next answer.
    leaving: AtomicBool,
    in_body: AtomicBool,
    in_head: AtomicBool,
    heads: AtomicU32,
    reads: AtomicU32,
    answering: AtomicU32,
    /// Requests that came to an answer, this one included.
    served: AtomicU32,
    /// Lets a tunnel hold back what it writes.
    pub(super) hold: Arc<Hold>,
}

impl Watch {
    /// Why the request that is served now must be refused. One that came whole before the fault
    /// passes; none that comes after it does.
    pub fn fault(&self) -> Option<Fault> {
        if !self.faulty.load(Ordering::Acquire) {
            return None;
        }
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, fault) = fault?;
        // Both count from the first head and may wrap.
        let ahead = number.wrapping_sub(self.served.load(Ordering::Relaxed));
        (ahead == 0 || ahead > u32::MAX / 2).then_some(fault)
    }

    /// Stops the reader: the connection becomes a tunnel.
    pub fn stop(&self) {
        self.off.store(true, Ordering::Release);
    }

    /// Answers say from now on that they are the last.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Counts a request in answer until the value is dropped.
    pub fn answering(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        self.served.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// How the connection looks now.
    pub fn seen(&self) -> patience::Seen {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let phase = match (is(&self.in_head), is(&self.in_body)) {
            (true, _) => Phase::Head,
            (false, true) => Phase::Body,
            (false, false) => Phase::Idle,
        };
        patience::Seen {
            phase,
            heads: self.heads.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            answering: self.answering.load(Ordering::Relaxed) > 0,
        }
    }

    fn note(&self, framing: &Framing) {
        let phase = framing.phase();
        self.in_head.store(phase == Phase::Head, Ordering::Relaxed);
        self.in_body.store(phase == Phase::Body, Ordering::Relaxed);
        self.heads.store(framing.heads(), Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(fault) = framing.fault() {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((framing.heads(), fault));
            self.faulty.store(true, Ordering::Release);
        }
    }
}

/// A request is being answered as long as this lives.
#[derive(Debug)]
pub struct Answering(Arc<Watch>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// TCP, or TLS over it.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The stream that hyper serves.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    framing: Framing,
    watch: Arc<Watch>,
    _slot: OwnedSemaphorePermit,
}

impl Wire {
    pub(super) fn new(stream: Stream, watch: Arc<Watch>, slot: OwnedSemaphorePermit) -> Self {
        Self { stream, framing: Framing::default(), watch, _slot: slot }
    }

    fn apply_hold(&self) {
        self.watch.hold.apply(match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        });
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if let Poll::Ready(Ok(())) = polled
            && !this.watch.off.load(Ordering::Acquire)
        {
            let new = buf.filled().get(before..).unwrap_or_default();
            if !new.is_empty() {
                this.framing.feed(new);
                this.watch.note(&this.framing);
            }
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.apply_hold();
        match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        this.apply_hold();
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
