//! Kernels' websockets: what a kernel says is kept here until it is with the client, because
//! stationd may be killed at any moment and Jupyter believes that what it wrote has arrived.
//!
//! ```text
//!   client <── stationd <── c.sock: the attendant <── s.sock: Jupyter
//!                 '── acknowledges what is in the client's own socket ──► (a pipe that it hands over)
//!
//!   attached --stationd's connection ends--> absent --the same session comes--> attached
//!      '--a Close of the client--> over        '--ABSENT, or it says too much--> closed: Jupyter keeps
//! ```
//!
//! Jupyter sees nothing of a stationd that comes back: its websocket stays open meanwhile. It is
//! closed by us only where nobody comes; what is kept then stands before what Jupyter replays.
//! An acknowledgement is a number of bytes, written whole or not at all, after the client's socket
//! has taken them: what a killed stationd has written can still be read. A stationd that is killed
//! between these two writes doubles the last piece, of 16 KiB at most. What the client's socket has
//! is the network's: a reset (the client's bytes unread at the kill) may take what is on its way.
//!
//! Invariants: messages go to the client in the order of the app and whole; one is said again only
//! if it was not acknowledged. A request is answered for Jupyter only if it equals one that Jupyter
//! let in, in all that it decides by. Limits: [`limits::KEPT_SESSIONS`], [`limits::KEPT_BYTES`].
//!
//! Not here: what a client says, which is passed on and not kept.

mod head;
mod kept;
mod line;
mod task;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use self::head::Asked;
pub use self::head::Key;
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::socket::{self, Peer, handed};

/// Where stationd asks for a kernel's channels, in the app's folder.
pub const SOCKET: &str = "c.sock";
/// Bytes of one acknowledgement: how many of the connection's are through, little-endian.
pub const ACKNOWLEDGED: usize = size_of::<u64>();
/// Orders to one session that may wait.
const ORDERS: usize = 4;

/// A connection of stationd that asks for a kernel's channels.
#[derive(Debug)]
struct Newcomer {
    stream: UnixStream,
    acks: pipe::Receiver,
    head: Vec<u8>,
    asked: Asked,
    slot: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Order {
    Come(Box<Newcomer>),
    /// Others have been absent for a shorter time, and there are too many.
    Forget,
}

/// What all sessions share.
#[derive(Debug, Clone)]
struct Place {
    tasks: Tasks,
    folder: Arc<Path>,
    sessions: Arc<Mutex<Sessions>>,
}

#[derive(Debug, Default)]
struct Sessions {
    open: BTreeMap<Key, mpsc::Sender<Order>>,
    /// Those to which nobody is connected, the longest first.
    absent: VecDeque<Key>,
}

/// Takes connections until the tasks are cancelled. With `shared` stationd is another user, and comes
/// with the folder's group.
pub(super) async fn serve(tasks: Tasks, listener: UnixListener, folder: PathBuf, shared: bool) {
    let slots = Arc::new(Semaphore::new(limits::RELAY_CONNECTIONS));
    let group = shared.then(|| std::fs::metadata(&folder).ok()).flatten().map(|found| found.gid());
    let own = nix::unistd::geteuid().as_raw();
    let admits = |peer: Peer| {
        peer.uid == own || peer.uid == 0 || group.is_some_and(|group| peer.gid == group)
    };
    let place = Place { tasks, folder: folder.into(), sessions: Arc::default() };
    while let Some(next) = place.tasks.token().run_until_cancelled(listener.accept()).await {
        let Ok((stream, _address)) = next else {
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            continue;
        };
        if !socket::peer(&stream).is_ok_and(admits) {
            continue;
        }
        // Whoever finds no place sees the connection close, and comes again.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let inner = place.clone();
        place.tasks.work(async move {
            if let Ok(Ok(Some(newcomer))) =
                timeout(limits::HEAD_TIMEOUT, admit(&inner, stream, slot)).await
            {
                inner.come(newcomer);
            }
        });
    }
}

/// Reads what is asked for. What is no request for a kernel's channels is passed on as it is.
async fn admit(
    place: &Place,
    mut stream: UnixStream,
    slot: OwnedSemaphorePermit,
) -> io::Result<Option<Newcomer>> {
    let acks = pipe::Receiver::from_owned_fd(handed::take(&stream).await?)?;
    let (head, rest) = read_head(&mut stream).await?;
    let asked = Asked::parse(&head).filter(|_| rest.is_empty());
    let Some(asked) = asked else {
        let app = UnixStream::connect(place.folder.join(super::FRONT)).await?;
        task::carry(place, (stream, slot), app, ([head, rest].concat(), Vec::new()));
        return Ok(None);
    };
    Ok(Some(Newcomer { stream, acks, head, asked, slot }))
}

/// A head, and what has come with it.
async fn read_head(stream: &mut UnixStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = BytesMut::new();
    loop {
        let read = stream.read_buf(&mut bytes).await?;
        if let Some(end) = head::end(&bytes) {
            let rest = bytes.split_off(end);
            return Ok((bytes.to_vec(), rest.to_vec()));
        }
        if read == 0 || bytes.len() > limits::CONNECTION_BUFFER {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

impl Place {
    /// Brings a connection to its session; the first begins it.
    fn come(&self, newcomer: Newcomer) {
        let key = newcomer.asked.key.clone();
        let mut sessions = self.sessions();
        let newcomer = match sessions.open.get(&key) {
            Some(orders) => match orders.try_send(Order::Come(Box::new(newcomer))) {
                Err(mpsc::error::TrySendError::Closed(Order::Come(newcomer))) => *newcomer,
                _ => return,
            },
            None => newcomer,
        };
        let (orders, mut orders_rx) = mpsc::channel(ORDERS);
        sessions.open.insert(key.clone(), orders);
        drop(sessions);
        let place = self.clone();
        self.tasks.work(async move { task::session(&place, &key, newcomer, &mut orders_rx).await });
    }

    /// Nobody is connected to the session any more. With too many of them the oldest is forgotten.
    fn absent(&self, key: &Key) {
        let mut sessions = self.sessions();
        sessions.absent.push_back(key.clone());
        while sessions.absent.len() > limits::KEPT_SESSIONS {
            let oldest = sessions.absent.pop_front();
            if let Some(orders) = oldest.and_then(|oldest| sessions.open.get(&oldest)) {
                drop(orders.try_send(Order::Forget));
            }
        }
    }

    fn present(&self, key: &Key) {
        self.sessions().absent.retain(|absent| absent != key);
    }

    /// The session is over, unless somebody has come meanwhile.
    fn over(&self, key: &Key, orders: &mut mpsc::Receiver<Order>) -> Option<Newcomer> {
        let mut sessions = self.sessions();
        sessions.absent.retain(|absent| absent != key);
        loop {
            match orders.try_recv() {
                Ok(Order::Come(newcomer)) => return Some(*newcomer),
                Ok(Order::Forget) => {}
                Err(_nobody) => break,
            }
        }
        sessions.open.remove(key);
        None
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long something may take from now on.
fn within(limit: Duration) -> Instant {
    Instant::now() + limit
}
