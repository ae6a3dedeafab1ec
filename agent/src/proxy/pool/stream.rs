//! The socket of an app, which can spell the names of a websocket's handshake as browsers do.
//!
//! Some websocket servers look for `Sec-WebSocket-Key` to the letter. hyper writes small letters
//! or `Sec-Websocket-Key`, or keeps what the client wrote and fills a map for every request.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// How field names reach the app. Their case means nothing in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Names {
    AnyCase,
    AsBrowsers,
}

/// A connection to an app's socket.
#[derive(Debug)]
pub(in crate::proxy) struct AppStream {
    stream: UnixStream,
    names: Names,
}

impl AppStream {
    pub(super) fn new(stream: UnixStream, names: Names) -> Self {
        Self { stream, names }
    }
}

const TITLE: &[u8] = b"\nSec-Websocket-";
/// Where the small letter stands in it.
const SMALL: usize = b"\nSec-Web".len();

/// The same bytes with `Sec-WebSocket-` for `Sec-Websocket-` at the beginning of lines.
fn spelled(head: &[u8]) -> Vec<u8> {
    let mut spelled = head.to_vec();
    for (at, seen) in head.windows(TITLE.len()).enumerate() {
        if let Some(letter) = spelled.get_mut(at + SMALL).filter(|_| seen == TITLE) {
            letter.make_ascii_uppercase();
        }
    }
    spelled
}

impl AsyncRead for AppStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.names == Names::AnyCase {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        let polled = Pin::new(&mut this.stream).poll_write(cx, &spelled(buf));
        if matches!(polled, Poll::Ready(Ok(written)) if written == buf.len()) {
            // The head is out; what follows belongs to the client.
            this.names = Names::AnyCase;
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    /// Without it hyper writes a head in one piece.
    fn is_write_vectored(&self) -> bool {
        self.names == Names::AnyCase && self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_browsers_write_them() {
        let head = b"GET /Sec-Websocket- HTTP/1.1\r\nSec-Websocket-Key: Sec-Websocket-\r\n\r\n";
        let expect = b"GET /Sec-Websocket- HTTP/1.1\r\nSec-WebSocket-Key: Sec-Websocket-\r\n\r\n";
        assert_eq!(spelled(head), expect);
        assert_eq!(spelled(b""), b"");
    }
}
