//! A small HTTP/1.1 client over a Unix socket, for an app's own API and for `stationctl`.
//!
//! One connection a request; every answer has a size limit and every call a deadline.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// What went wrong, and with which socket.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot connect to {socket}")]
    Connect { socket: PathBuf, source: io::Error },
    #[error("the exchange with {socket} failed")]
    Exchange { socket: PathBuf, source: hyper::Error },
    #[error("{socket} gave more than {limit} bytes")]
    TooLarge { socket: PathBuf, limit: usize },
    #[error("{socket} did not answer within {} ms", .limit.as_millis())]
    TimedOut { socket: PathBuf, limit: Duration },
}

/// Sends one request and reads the whole answer, at most `limit` bytes, before `deadline`.
pub async fn exchange(
    socket: &Path,
    request: Request<Full<Bytes>>,
    limit: usize,
    deadline: Duration,
) -> Result<Response<Bytes>, HttpError> {
    let whole = async {
        let response = open(socket, request).await?;
        let (head, body) = response.into_parts();
        #[expect(clippy::disallowed_methods, reason = "this is the place: the body is Limited")]
        let body = Limited::new(body, limit).collect().await;
        let body = body
            .map_err(|_too_large| HttpError::TooLarge { socket: socket.to_owned(), limit })?
            .to_bytes();
        Ok(Response::from_parts(head, body))
    };
    tokio::time::timeout(deadline, whole).await.unwrap_or_else(|_elapsed| {
        Err(HttpError::TimedOut { socket: socket.to_owned(), limit: deadline })
    })
}

/// Sends one request and returns the answer's head with its body still streaming.
pub async fn open(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, HttpError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| HttpError::Connect { socket: socket.to_owned(), source })?;
    let fail = |source| HttpError::Exchange { socket: socket.to_owned(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(fail)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the connection ends with its sender or its body; it has no state to stop"
    )]
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
    sender.send_request(request).await.map_err(fail)
}
