//! The loops: one accepts, one per connection serves it until it ends, idles too long or must stop.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::front::lanes::Lanes;
use crate::front::listener;
use crate::front::service::{Presented, Service, Shared};
use crate::front::tls::Shown;
use crate::front::wire::framing::Phase;
use crate::front::wire::patience::{self, Patience, Verdict};
use crate::front::wire::{Stream, Watch, Wire};

/// Accepts until the daemon stops. Nothing that one connection does ends this loop.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    tasks: Tasks,
    name: &'static str,
) {
    let slots = Arc::new(Semaphore::new(shared.config.connections));
    // A few polls need no threads of their own.
    let lanes = if shared.config.control.is_some() { 0 } else { limits::LANES };
    let mut lanes = Lanes::start(&tasks, lanes);
    let cancel = tasks.token().clone();
    let mut pulse = tasks.pulse(name);
    loop {
        let (slot, accepted) = tokio::select! {
            // After the stop nothing more is taken: it waits for the next stationd where somebody
            // else holds the listener.
            biased;
            // Cancel-safe: nothing is taken when the token wins.
            () = cancel.cancelled() => return,
            // Cancel-safe: Pulse::sign is.
            () = pulse.sign() => continue,
            // Cancel-safe: a slot that was taken is given back on drop, and `accept` takes a
            // connection only when it completes.
            both = next(&listener, &slots) => both,
        };
        match (slot, accepted) {
            (Some(slot), Ok((stream, peer))) => {
                // The lane has an event loop of its own: this one lets go of the socket.
                let Ok(stream) = stream.into_std() else { continue };
                let shared = Arc::clone(&shared);
                let connection = connection(stream, peer, shared, slot, cancel.clone());
                tasks.work_on(&lanes.next(), connection);
            }
            (None, _) => return,
            (_, Err(error)) if listener::concerns_one_connection(&error) => {}
            (_, Err(error)) => {
                warn!(%error, "cannot accept a connection; trying again shortly");
                sleep(listener::PAUSE).await;
            }
        }
    }
}

type Accepted = std::io::Result<(TcpStream, SocketAddr)>;

async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, Accepted) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    (slot, listener.accept().await)
}

async fn connection(
    stream: std::net::TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    slot: OwnedSemaphorePermit,
    cancel: CancellationToken,
) {
    let stream = match listener::prepare(&stream).and_then(|()| TcpStream::from_std(stream)) {
        Ok(stream) => stream,
        Err(error) => return debug!(%error, "the client left before it was served"),
    };
    let stream = match &shared.config.tls {
        None => Stream::Plain(stream),
        Some(tls) => {
            let handshake = TlsAcceptor::from(tls.config()).accept(stream);
            let shaken = tokio::select! {
                // Cancel-safe: the handshake is given up with its connection.
                shaken = timeout(limits::TLS_TIMEOUT, handshake) => shaken,
                // Cancel-safe: it holds nothing.
                () = stopped_for(&cancel, limits::FIRST_REQUEST) => {
                    return debug!(%peer, "TLS handshake took longer than the stop");
                }
            };
            match shaken {
                Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                Ok(Err(error)) => return debug!(%error, %peer, "TLS handshake failed"),
                Err(_elapsed) => return debug!(%peer, "TLS handshake took too long"),
            }
        }
    };
    let certificate = match &shared.config.control {
        None => None,
        Some(allowed) => match presented(&stream, &shared, allowed) {
            // The handshake sees to that; nobody comes this far without one.
            None => return debug!(%peer, "the client has shown no certificate"),
            some => some,
        },
    };
    let watch = Arc::new(Watch::default());
    let wire = Wire::new(stream, Arc::clone(&watch), slot);
    let service = Service {
        certificate,
        watch: Arc::clone(&watch),
        peer,
        peer_text: HeaderValue::from_str(&peer.ip().to_canonical().to_string())
            .unwrap_or(HeaderValue::from_static("unknown")),
        shared: Arc::clone(&shared),
    };
    serve(wire, service, watch, cancel).await;
}

/// The certificate that was shown in the handshake.
fn presented(
    stream: &Stream,
    shared: &Shared,
    allowed: &watch::Receiver<Arc<Vec<String>>>,
) -> Option<Arc<Presented>> {
    let Stream::Tls(stream) = stream else { return None };
    let shown = Shown::new(stream.get_ref().1.peer_certificates()?)?;
    let tls = shared.config.tls.clone()?;
    Some(Arc::new(Presented::new(shown, tls, allowed.clone())))
}

async fn serve(wire: Wire, service: Service, watch: Arc<Watch>, cancel: CancellationToken) {
    let (tick, patience_limits) = service.shared.config.patience();
    // The number of fields is limited by `wire`, which sees every head before the service does.
    let mut connection = Box::pin(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(limits::CONNECTION_BUFFER)
            .serve_connection(TokioIo::new(wire), service)
            .with_upgrades(),
    );
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut patience = Patience::default();
    loop {
        tokio::select! {
            biased;
            // First, so that an answer after the stop says that it is the last.
            // Cancel-safe: `cancelled` holds nothing.
            () = cancel.cancelled() => {
                watch.leave();
                if request_comes(connection.as_mut(), &watch).await {
                    return;
                }
                break;
            }
            // Polled in place, never dropped half-way.
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "connection ended early");
                }
                return;
            }
            // Cancel-safe: a tick that is not taken comes again.
            _ = ticks.tick() => match patience.tick(watch.seen(), patience_limits) {
                Verdict::Wait => {}
                Verdict::Retire => break,
                Verdict::Cut => return debug!("a slow client was cut off"),
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    if timeout(limits::DRAIN, connection).await.is_err() {
        debug!("a request was cut off at the end of the drain");
    }
}

/// At a stop: waits until an accepted connection has come to a request, since one may be on its
/// way. `true` if the connection has ended.
async fn request_comes<C: Future>(mut connection: Pin<&mut C>, watch: &Watch) -> bool {
    let comes = poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        let seen = watch.seen();
        let come = seen.heads > 0 && seen.phase != Phase::Head;
        if come { Poll::Ready(false) } else { Poll::Pending }
    });
    timeout(limits::FIRST_REQUEST, comes).await.unwrap_or(false)
}

/// The stop began this long ago.
async fn stopped_for(cancel: &CancellationToken, time: Duration) {
    cancel.cancelled().await;
    sleep(time).await;
}

/// Limits in whole ticks; a tick is half the shortest of them.
pub(super) fn in_ticks(
    head: Duration,
    idle: Duration,
    stall: Duration,
) -> (Duration, patience::Limits) {
    let tick = (head.min(idle).min(stall) / 2).max(Duration::from_millis(10));
    let ticks =
        |limit: Duration| u32::try_from(limit.as_millis() / tick.as_millis()).unwrap_or(u32::MAX);
    let limits = patience::Limits { head: ticks(head), idle: ticks(idle), stall: ticks(stall) };
    (tick, limits)
}
