//! A small HTTP/1.1 client over a Unix socket, for an app's own API and for `stationctl`, or over
//! whatever connection somebody has.
//!
//! One connection a request; every answer has a size limit and every call a deadline.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// What went wrong, and with which socket.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot connect to {socket}")]
    Connect { socket: PathBuf, source: io::Error },
    #[error("user {found} listens on {socket}, and user {wanted} is expected")]
    Stranger { socket: PathBuf, found: u32, wanted: u32 },
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
    whole(socket, open(socket, request), limit, deadline).await
}

/// The same, if the user `uid` listens there; else nothing is sent. For a socket that lies where
/// somebody else may put another in its place.
pub async fn exchange_with(
    uid: u32,
    socket: &Path,
    request: Request<Full<Bytes>>,
    limit: usize,
    deadline: Duration,
) -> Result<Response<Bytes>, HttpError> {
    let checked = async {
        let stream = connect(socket).await?;
        let fail = |source| HttpError::Connect { socket: socket.to_owned(), source };
        let found = super::peer(&stream).map_err(fail)?.uid;
        if found != uid {
            return Err(HttpError::Stranger { socket: socket.to_owned(), found, wanted: uid });
        }
        send(socket, stream, request).await
    };
    whole(socket, checked, limit, deadline).await
}

/// The same over a connection that there is already; `name` tells which in an error.
pub async fn exchange_over(
    name: &Path,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    (limit, deadline): (usize, Duration),
) -> Result<Response<Bytes>, HttpError> {
    whole(name, send(name, stream, request), limit, deadline).await
}

async fn whole(
    socket: &Path,
    opened: impl Future<Output = Result<Response<Incoming>, HttpError>>,
    limit: usize,
    deadline: Duration,
) -> Result<Response<Bytes>, HttpError> {
    let whole = async {
        let response = opened.await?;
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
    send(socket, connect(socket).await?, request).await
}

async fn connect(socket: &Path) -> Result<UnixStream, HttpError> {
    let stream = UnixStream::connect(socket).await;
    stream.map_err(|source| HttpError::Connect { socket: socket.to_owned(), source })
}

async fn send(
    socket: &Path,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, HttpError> {
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn another_users_socket_gets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let other = nix::unistd::geteuid().as_raw() + 1;
        let request = Request::get("/").body(Full::default()).unwrap();
        let asked = exchange_with(other, &path, request, 10, Duration::from_secs(5)).await;
        assert!(matches!(asked, Err(HttpError::Stranger { .. })), "{asked:?}");
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0);
    }
}
