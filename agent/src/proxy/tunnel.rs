//! A websocket: the handshake goes to the app first, then bytes are relayed until both ends close.
//!
//! ```text
//! relaying --stop / session over--> asking --the app has closed, or APP_CLOSES over--> telling --> end
//!     '--both directions ended--> end
//! ```
//!
//! What a kernel says is kept by the attendant of its app until we say that the client has it, so
//! that nothing is lost with us (`attend::channels`); there a stop just ends. Elsewhere at a stop the app is asked to close (a Close between two frames of the client), and what it still
//! has to say goes through up to its own Close: Jupyter keeps for later what a kernel prints when
//! nobody is connected, but what it sends to a connection that ends is gone. An app that does not
//! answer is cut off at a frame border, and the client gets our Close.
//!
//! There is no limit on how long a tunnel may be quiet; a dead client is found by TCP keep-alive.
//! Bytes are never altered: terminating proxies get close codes, compression and subprotocols wrong.

mod acks;
mod buffers;
mod half;

use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::debug;

pub(super) use acks::Acks;
pub(super) use buffers::Buffers;
use half::Half;

use crate::attend::channels::Key;
use crate::base::frames::{self, Seen};
use crate::base::limits;
use crate::os::clock;
use crate::os::socket::hold::Hold;
use crate::proxy::forward::{self, ForwardError, Upload};
use crate::proxy::headers::rewrite::Below;
use crate::proxy::headers::{self, Back};
use crate::proxy::pool::{ConnectError, Link, Names, Pool};
use crate::proxy::{Body, Caller, Direction, Inner};

/// Whose tunnel it is.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) app: String,
    pub(super) caller: Caller,
    /// Where it was opened.
    pub(super) path: Arc<str>,
    /// Where the app lives, if it does not know.
    pub(super) below: Option<Below>,
    /// Where the app's attendant keeps what a kernel says.
    pub(super) channels: Option<PathBuf>,
}

/// An open connection for a websocket. If the app's attendant keeps what is said there: the way to
/// tell it what the client has, and the place that this takes.
type Reached = (Link, Option<(Acks, OwnedSemaphorePermit)>);

async fn reach(
    inner: &Inner,
    pool: &Pool,
    request: &Request<Upload>,
    owner: &Owner,
) -> Result<Reached, ConnectError> {
    let target = request.uri().path_and_query().map(PathAndQuery::as_str);
    let is_kernel = target.and_then(Key::of).is_some();
    if let Some(channels) = owner.channels.as_ref().filter(|_| is_kernel)
        && let Ok(place) = Arc::clone(&inner.kept).try_acquire_owned()
        && let Some((link, acks)) = pool.connect_kept(channels).await
    {
        let hold = request.extensions().get::<Arc<Hold>>().map(Arc::clone);
        return Ok((link, Some((acks.with(hold), place))));
    }
    Ok((pool.connect(Names::AsBrowsers).await?, None))
}

/// Asks the app for a websocket. Any answer but 101 is passed on as it is.
pub(super) async fn open(
    inner: &Arc<Inner>,
    pool: &Arc<Pool>,
    request: Request<Upload>,
    client: OnUpgrade,
    owner: Owner,
) -> Result<Response<Body>, ForwardError> {
    let reached = reach(inner, pool, &request, &owner).await;
    let (link, kept) = reached.map_err(ForwardError::Connect)?;
    let Link { mut sender, connection, .. } = link;
    let mut connection = connection.map(|connection| Box::pin(connection.with_upgrades()));
    let mut answer = pin!(sender.send_request(request));
    let answered = poll_fn(|cx| {
        // Dropped when it has ended: the request would wait in it for ever.
        if connection.as_mut().is_some_and(|running| running.as_mut().poll(cx).is_ready()) {
            connection = None;
        }
        answer.as_mut().poll(cx)
    });
    let mut answer = answered.await.map_err(ForwardError::Exchange)?;
    let upstream = hyper::upgrade::on(&mut answer);
    let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if let Some(connection) = connection {
        // It ends with the answer's body, or at once when it hands the stream over.
        inner.tasks.work(async move { drop(connection.await) });
    }
    let back = Back { cookie_name: &owner.caller.cookie_name, below: owner.below.as_ref() };
    if !switched {
        return Ok(forward::down(answer, None, pool, (back, &inner.metrics)));
    }
    let (mut head, _no_body) = answer.into_parts();
    head.version = Version::HTTP_11;
    headers::to_client(&mut head.headers, back, true);
    inner.tasks.work(relay(Arc::clone(inner), (client, upstream), kept, owner));
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Ok(Response::from_parts(head, empty))
}

async fn relay(
    inner: Arc<Inner>,
    (client, upstream): (OnUpgrade, OnUpgrade),
    kept: Option<(Acks, OwnedSemaphorePermit)>,
    owner: Owner,
) {
    let (acks, _place) = kept.unzip();
    let both = async { Ok::<_, hyper::Error>((upstream.await?, client.await?)) };
    let cancel = inner.tasks.token().clone();
    let opened = cancel.run_until_cancelled(timeout(limits::HEAD_TIMEOUT, both));
    let Some(Ok(Ok((app, client)))) = opened.await else {
        return debug!("a websocket ended before it began");
    };
    inner.metrics.tunnels.inc();
    let tunnel = Tunnel {
        client: TokioIo::new(client),
        app: TokioIo::new(app),
        up: Half::default(),
        down: Half::acknowledged(acks),
        tick: Box::pin(sleep(inner.config.session_check)),
        cancelled: Some(Box::pin(cancel.cancelled_owned())),
        leaving: None,
        moved: false,
        noted: Noted::default(),
        owner,
        inner: Arc::clone(&inner),
    };
    if let Err(error) = tunnel.await {
        debug!(%error, "a websocket broke");
    }
    inner.metrics.tunnels.dec();
}

/// An open websocket.
struct Tunnel {
    client: TokioIo<Upgraded>,
    app: TokioIo<Upgraded>,
    up: Half,
    down: Half,
    tick: Pin<Box<Sleep>>,
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    leaving: Option<Leaving>,
    /// Bytes moved since the last tick.
    moved: bool,
    noted: Noted,
    owner: Owner,
    inner: Arc<Inner>,
}

/// How far the end has come, with the code of the Close.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// The app has been asked, or will be at the next frame border.
    Asking(u16),
    /// The client is told, where the app's own Close has not gone through.
    Telling(u16),
}

/// When activity was last reported, per direction.
#[derive(Debug, Default)]
struct Noted {
    from_client: Option<Duration>,
    from_app: Option<Duration>,
}

/// Activity is reported at most once in this time.
const NOTE_EVERY: Duration = Duration::from_secs(1);

impl Future for Tunnel {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(cancelled) = &mut this.cancelled
            && cancelled.as_mut().poll(cx).is_ready()
        {
            this.cancelled = None;
            this.leave(frames::GOING_AWAY);
        }
        while this.tick.as_mut().poll(cx).is_ready() {
            match this.leaving {
                Some(Leaving::Asking(code)) => {
                    this.tell(code);
                    continue;
                }
                Some(Leaving::Telling(_)) => return Poll::Ready(Ok(())),
                None if this.half_closed_and_quiet() => return Poll::Ready(Ok(())),
                None => {}
            }
            this.moved = false;
            this.tick.as_mut().reset(Instant::now() + this.inner.config.session_check);
            if !this.inner.outside.sessions.still_valid(&this.owner.caller) {
                this.leave(frames::POLICY);
            }
        }
        if let Some(Leaving::Asking(code)) = this.leaving {
            std::task::ready!(this.ask(cx, code))?;
            this.tell(code);
        }
        match this.leaving {
            Some(Leaving::Telling(code)) => this.say_goodbye(cx, code),
            _ => this.relay(cx),
        }
    }
}

impl Tunnel {
    fn leave(&mut self, code: u16) {
        self.leaving = Some(Leaving::Asking(code));
        self.up.stop_at_boundary();
        self.down.hold_end();
        self.tick.as_mut().reset(Instant::now() + limits::APP_CLOSES);
    }

    fn tell(&mut self, code: u16) {
        self.leaving = Some(Leaving::Telling(code));
        self.down.stop_at_boundary();
        self.tick.as_mut().reset(Instant::now() + limits::DRAIN);
    }

    /// Asks the app to close, and passes on what it says until it does. Ready when it has nothing
    /// more to say.
    fn ask(&mut self, cx: &mut Context<'_>, code: u16) -> Poll<io::Result<()>> {
        let between = !self.up.is_done() && self.poll_up(cx)?.is_pending() && self.up.at_boundary();
        if self.down.is_kept() && code == frames::GOING_AWAY {
            return if between || self.up.is_done() { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        if between {
            self.up.say(&frames::close_masked(code), &self.inner.buffers);
            if self.poll_up(cx)?.is_ready() {
                debug!("the app has hung up");
            }
        }
        if self.down.is_done() { Poll::Ready(Ok(())) } else { self.poll_down(cx) }
    }

    /// One side has closed and the other neither speaks nor closes.
    fn half_closed_and_quiet(&self) -> bool {
        (self.up.is_done() || self.down.is_done()) && !self.moved
    }

    fn relay(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let up = self.up.is_done() || self.poll_up(cx)?.is_ready();
        let down = self.down.is_done() || self.poll_down(cx)?.is_ready();
        if up && down { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (inner, owner, noted) = (&self.inner, &self.owner, &mut self.noted.from_client);
        let moved = &mut self.moved;
        let mut seen = |seen: Seen, bytes: usize| {
            *moved = true;
            inner.metrics.bytes_to_app.inc_by(bytes as u64);
            note(inner, owner, noted, seen, Direction::FromClient);
        };
        let ends = (&mut self.client, &mut self.app);
        self.up.poll(cx, ends, &inner.buffers, &mut seen)
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (inner, owner, noted) = (&self.inner, &self.owner, &mut self.noted.from_app);
        let moved = &mut self.moved;
        let mut seen = |seen: Seen, bytes: usize| {
            *moved = true;
            inner.metrics.bytes_to_client.inc_by(bytes as u64);
            note(inner, owner, noted, seen, Direction::FromApp);
        };
        let ends = (&mut self.app, &mut self.client);
        self.down.poll(cx, ends, &inner.buffers, &mut seen)
    }

    /// Finishes the frame that is on its way to the client, sends Close and waits for the client
    /// to close too: a socket closed with unread bytes would take the Close back.
    fn say_goodbye(&mut self, cx: &mut Context<'_>, code: u16) -> Poll<io::Result<()>> {
        if !self.down.is_done() {
            if self.poll_down(cx)?.is_pending() && !self.down.at_boundary() {
                return Poll::Pending;
            }
            if !self.down.is_done() {
                if self.down.closed() || !self.down.at_boundary() {
                    // The app has said it, or has broken off inside of a frame.
                    self.down.finish();
                } else {
                    self.down.close_with(&frames::close(code), &self.inner.buffers);
                }
                if self.poll_down(cx)?.is_pending() {
                    return Poll::Pending;
                }
            }
            // It has all that it gets; a client that sleeps does not hold up the end.
            self.tick.as_mut().reset(Instant::now() + limits::CLOSE_ANSWER);
            if self.tick.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        let mut waste = [0; 1024];
        loop {
            let mut space = ReadBuf::new(&mut waste);
            let polled = Pin::new(&mut self.client).poll_read(cx, &mut space);
            if std::task::ready!(polled).is_err() || space.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

fn note(
    inner: &Inner,
    owner: &Owner,
    last: &mut Option<Duration>,
    seen: Seen,
    direction: Direction,
) {
    if seen.data == 0 {
        return;
    }
    let now = clock::since_boot();
    if last.is_none_or(|last| now.saturating_sub(last) >= NOTE_EVERY) {
        *last = Some(now);
        let activity = &inner.outside.activity;
        activity.websocket_data(&owner.app, &owner.caller, &owner.path, direction);
    }
}
