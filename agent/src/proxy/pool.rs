//! Connections to one app's socket, kept between requests.
//!
//! A connection is moved by whoever uses it, not by a task of its own: a request costs no task
//! switch, and a connection that the app has closed shows when it is taken out. A connection goes
//! back only after a whole answer to a whole request.

mod stream;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::{self, Handle};
use tokio::time::{sleep, timeout};

use crate::base::limits;
use crate::os::{clock, socket};
use crate::proxy::forward::Upload;
use crate::proxy::tunnel::Acks;
pub(super) use stream::{AppStream, Names};

/// Why an app could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot connect to {socket}")]
    Connect { socket: PathBuf, source: io::Error },
    #[error("{socket} did not accept a connection within {} ms", limits::APP_CONNECT.as_millis())]
    TimedOut { socket: PathBuf },
    #[error("{socket} belongs to user {seen}, and the app runs as user {wanted}")]
    WrongPeer { socket: PathBuf, seen: u32, wanted: u32 },
    #[error("cannot speak HTTP to {socket}")]
    Handshake { socket: PathBuf, source: hyper::Error },
}

/// One connection to an app.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) sender: SendRequest<Upload>,
    /// Absent once it has ended: a request that was put in meanwhile comes back then, and would wait
    /// for ever otherwise.
    pub(super) connection: Option<Box<Connection<TokioIo<AppStream>, Upload>>>,
    idle_since: Duration,
    /// The event loop that hears from its socket; any other one would have to be woken by it.
    home: runtime::Id,
}

impl Link {
    /// Moves bytes both ways as far as they go.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if self.connection.as_mut().is_some_and(|running| Pin::new(running).poll(cx).is_ready()) {
            self.connection = None;
        }
    }

    /// Whether it takes another request.
    fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// A connection from the pool, and how long it lay there; zero for a new one.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) link: Link,
    pub(super) idle: Option<Duration>,
}

/// The connections to one app.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) socket: PathBuf,
    pub(super) peer_uid: u32,
    idle: Mutex<Vec<Link>>,
}

impl Pool {
    pub(super) fn new(socket: PathBuf, peer_uid: u32) -> Self {
        Self { socket, peer_uid, idle: Mutex::new(Vec::new()) }
    }

    /// An idle connection, or a new one.
    pub(super) async fn take(&self) -> Result<Taken, ConnectError> {
        while let Some(link) = self.pop() {
            let idle = clock::since_boot().saturating_sub(link.idle_since);
            // Whether the app has closed it shows when the request is sent: then it comes back
            // unsent and goes by a new connection.
            if idle < limits::APP_IDLE && link.sender.is_ready() {
                let idle = Some(idle);
                return Ok(Taken { link, idle });
            }
        }
        let link = self.connect(Names::AnyCase).await?;
        Ok(Taken { link, idle: None })
    }

    /// Takes a connection back, if it can be used again.
    pub(super) fn give(&self, mut link: Link) {
        if !link.is_ready() {
            return;
        }
        link.idle_since = clock::since_boot();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < limits::APP_IDLE_CONNECTIONS {
            idle.push(link);
        }
    }

    /// Closes what lay idle too long.
    pub(super) fn sweep(&self) {
        let now = clock::since_boot();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|link| now.saturating_sub(link.idle_since) < limits::APP_IDLE);
    }

    /// A new connection, whose other end runs as the app's user.
    pub(super) async fn connect(&self, names: Names) -> Result<Link, ConnectError> {
        let stream = match timeout(limits::APP_CONNECT, self.dial()).await {
            Ok(stream) => stream?,
            Err(_elapsed) => {
                return Err(ConnectError::TimedOut { socket: self.socket.clone() });
            }
        };
        self.speak(stream, names).await
    }

    /// A connection to the app's attendant, for a websocket that it keeps, and the way to tell it
    /// what the client has. `None` if that cannot be: an attendant of an older release knows nothing
    /// of it, and the app itself is there all the same.
    pub(super) async fn connect_kept(&self, channels: &Path) -> Option<(Link, Acks)> {
        let stream =
            timeout(limits::APP_CONNECT, UnixStream::connect(channels)).await.ok()?.ok()?;
        if socket::peer(&stream).ok()?.uid != self.peer_uid {
            return None;
        }
        let acks = Acks::hand_over(&stream).await.ok()?;
        Some((self.speak(stream, Names::AsBrowsers).await.ok()?, acks))
    }

    async fn speak(&self, stream: UnixStream, names: Names) -> Result<Link, ConnectError> {
        let peer = socket::peer(&stream).map_err(|source| self.failed(source))?;
        if peer.uid != self.peer_uid {
            return Err(ConnectError::WrongPeer {
                socket: self.socket.clone(),
                seen: peer.uid,
                wanted: self.peer_uid,
            });
        }
        let (sender, connection) = http1::Builder::new()
            // That of its answer; see `stream` for that of the request.
            .preserve_header_case(names == Names::AsBrowsers)
            .title_case_headers(names == Names::AsBrowsers)
            .max_buf_size(limits::CONNECTION_BUFFER)
            .handshake(TokioIo::new(AppStream::new(stream, names)))
            .await
            .map_err(|source| ConnectError::Handshake { socket: self.socket.clone(), source })?;
        Ok(Link {
            sender,
            connection: Some(Box::new(connection)),
            idle_since: Duration::ZERO,
            home: Handle::current().id(),
        })
    }

    /// Connects; a full backlog answers "would block" at once and is waited out.
    async fn dial(&self) -> Result<UnixStream, ConnectError> {
        let mut pause = Duration::from_millis(2);
        loop {
            match UnixStream::connect(&self.socket).await {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
                Err(source) => return Err(self.failed(source)),
            }
        }
    }

    fn failed(&self, source: io::Error) -> ConnectError {
        ConnectError::Connect { socket: self.socket.clone(), source }
    }

    /// The connection of this event loop that was used last.
    fn pop(&self) -> Option<Link> {
        let here = Handle::current().id();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let place = idle.iter().rposition(|link| link.home == here)?;
        Some(idle.remove(place))
    }
}
