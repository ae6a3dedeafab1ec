//! The public listener as a client on this machine reaches it, with or without TLS.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest as _};

use super::trust::any_certificate;
use crate::os::socket::http::{HttpError, exchange_over};

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER_MAX: usize = 1024 * 1024;
const LOOPBACK: &str = "127.0.0.1";

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("nobody listens on {address}")]
    Connect { address: String, source: io::Error },
    #[error("no connection to {address} within {} s", CONNECT.as_secs())]
    TimedOut { address: String },
    #[error("no TLS with {address}")]
    Tls { address: String, source: io::Error },
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    #[error("the request cannot be made")]
    Upgrade(#[source] Box<tungstenite::Error>),
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// TCP or TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A way in that answers.
#[derive(Debug)]
pub(super) struct Door {
    host: String,
    port: u16,
    tls: bool,
}

impl Door {
    /// On loopback, or at `host` for a listener that is not there; TLS where plain HTTP is not
    /// understood.
    pub(super) async fn find(port: u16, host: Option<&str>) -> Result<Self, DoorError> {
        let mut last = None;
        for host in [Some(LOOPBACK), host].into_iter().flatten() {
            for tls in [false, true] {
                let door = Self { host: host.to_owned(), port, tls };
                let request = Request::get("/healthz")
                    .header(http::header::HOST, door.host())
                    .body(Full::default())
                    .map_err(DoorError::Request)?;
                match door.exchange(request, CONNECT).await {
                    Ok(answer) if answer.status().is_success() => return Ok(door),
                    Ok(_other) => {}
                    // Nobody is there, with TLS or without.
                    Err(error @ DoorError::Connect { .. }) => {
                        last = Some(error);
                        break;
                    }
                    Err(error) => last = Some(error),
                }
            }
        }
        let address = format!("port {port}");
        Err(last.unwrap_or_else(|| DoorError::Connect {
            address,
            source: io::ErrorKind::ConnectionRefused.into(),
        }))
    }

    /// What `Host` says.
    pub(super) fn host(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A request that asks for a websocket.
    pub(super) fn websocket(&self, path: &str) -> Result<Request<()>, DoorError> {
        let scheme = if self.tls { "wss" } else { "ws" };
        let request = format!("{scheme}://{}{path}", self.host()).into_client_request();
        request.map_err(|error| DoorError::Upgrade(Box::new(error)))
    }

    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Response<Bytes>, DoorError> {
        let stream = self.connect().await?;
        let name = self.host();
        Ok(exchange_over(Path::new(&name), stream, request, (ANSWER_MAX, limit)).await?)
    }

    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, DoorError> {
        let address = self.host();
        let timed_out = |_elapsed| DoorError::TimedOut { address: address.clone() };
        let connect = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(CONNECT, connect).await.map_err(timed_out)?;
        let stream =
            stream.map_err(|source| DoorError::Connect { address: address.clone(), source })?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let fail = |source| DoorError::Tls { address: address.clone(), source };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_no_name| fail(io::ErrorKind::InvalidInput.into()))?;
        let connector = TlsConnector::from(Arc::new(any_certificate().map_err(DoorError::Setup)?));
        let shaking = tokio::time::timeout(CONNECT, connector.connect(name, stream));
        let stream = shaking.await.map_err(timed_out)?;
        Ok(Box::new(stream.map_err(fail)?))
    }
}
