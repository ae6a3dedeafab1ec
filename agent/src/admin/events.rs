//! `GET /v1/events`: NDJSON, or a websocket with one event per text message.
//!
//! A stream that a session opened ends with the session: see [`StillValid`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::Either;
use futures_util::{SinkExt, StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use station_proto::event::Event;
use station_proto::problem::Problem;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use utoipa::IntoParams;

use super::Sources;
use super::answers::{Asked, Failure, problem};
use crate::base::bus::{Heard, Subscription};
use crate::base::chain::Chain;
use crate::base::limits;
use crate::store::{Store, StoreError};

/// Events read from the store at a time.
const PAGE: usize = 500;

/// Whether whoever opened a stream may still read it. It lies in the extensions of the request;
/// without it (the admin socket) a stream ends with its connection alone.
#[derive(Clone)]
pub struct StillValid(pub Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for StillValid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StillValid").finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// The last sequence number that the reader has; 0 for all that are kept.
    #[serde(default)]
    #[param(required = false)]
    after: u64,
    /// Keep the answer open and send new events as they come. A websocket always does.
    #[serde(default)]
    #[param(required = false)]
    follow: bool,
}

/// Events in their one order. 410 if some after `after` are no longer kept.
#[utoipa::path(get, path = "/v1/events", params(After), responses(
    (status = 200, body = Event, content_type = "application/x-ndjson"),
    (status = 101, description = "a websocket: one event per text message"),
    (status = 410, body = Problem)))]
pub async fn events(
    State(sources): State<Sources>,
    Asked(query): Asked<After>,
    request: Request,
) -> Result<Response, Failure> {
    let still_valid = request.extensions().get::<StillValid>().cloned();
    let feed = Feed::start(&sources.store, query.after, still_valid).await?;
    if request.headers().contains_key(header::UPGRADE) {
        return websocket(sources, feed, request);
    }
    let cancel = sources.tasks.token().clone();
    let lines = stream::unfold(feed, move |mut feed| {
        let cancel = cancel.clone();
        async move {
            let next = feed.allowed(query.follow);
            let event = cancel.run_until_cancelled(next).await??;
            let mut line = serde_json::to_vec(&event).unwrap_or_default();
            line.push(b'\n');
            Some((Ok::<_, std::convert::Infallible>(Bytes::from(line)), feed))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// What a reader has still to get: first from the store, then as it happens.
struct Feed {
    store: Store,
    live: Subscription<Event>,
    ready: VecDeque<Event>,
    last: u64,
    /// Whether the store may hold more that was not read yet.
    behind: bool,
    still_valid: Option<StillValid>,
    /// How often that is asked while nothing happens.
    check: Duration,
}

impl Feed {
    async fn start(
        store: &Store,
        after: u64,
        still_valid: Option<StillValid>,
    ) -> Result<Self, Failure> {
        // Subscribe before the first read, so that no event falls between the two.
        let live = store.subscribe();
        let ready = read(store, after).await?;
        let behind = ready.len() == PAGE;
        let (store, check) = (store.clone(), limits::STREAM_CHECK);
        Ok(Self { store, live, ready, last: after, behind, still_valid, check })
    }

    /// The next event; `None` at the end, or when the reader's session has ended.
    async fn allowed(&mut self, follow: bool) -> Option<Event> {
        loop {
            let next = tokio::time::timeout(self.check, self.next(follow)).await;
            if self.still_valid.as_ref().is_some_and(|still_valid| !(still_valid.0)()) {
                return None;
            }
            if let Ok(next) = next {
                return next;
            }
        }
    }

    /// The next event; `None` at the end, which never comes while following.
    ///
    /// Cancel-safe: an event leaves the queue only when it is handed out, and a page that was not
    /// read to its end is read again.
    async fn next(&mut self, follow: bool) -> Option<Event> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                if event.seq > self.last {
                    self.last = event.seq;
                    return Some(event);
                }
            }
            if self.behind {
                self.ready = read(&self.store, self.last).await.ok()?;
                self.behind = self.ready.len() == PAGE;
            } else if follow {
                match self.live.next().await? {
                    Heard::Item(event) => self.ready.push_back(event),
                    Heard::Missed(_) => self.behind = true,
                }
            } else {
                return None;
            }
        }
    }
}

async fn read(store: &Store, after: u64) -> Result<VecDeque<Event>, Failure> {
    match store.events_after(after, PAGE).await {
        Ok(page) => Ok(page.events.into()),
        Err(StoreError::Gone(up_to)) => {
            let detail = format!("events up to {up_to} are no longer kept; ask for after={up_to}");
            Err(Failure(problem(StatusCode::GONE, "events-gone", "some events are gone", detail)))
        }
        Err(error) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let detail = Chain(&error).to_string();
            Err(Failure(problem(status, "no-events", "the events cannot be read", detail)))
        }
    }
}

fn websocket(sources: Sources, feed: Feed, mut request: Request) -> Result<Response, Failure> {
    let Some(accept) = accept_key(request.headers()) else {
        let detail = "a websocket needs Upgrade: websocket, Sec-WebSocket-Version: 13 and a key \
                      (RFC 6455, section 4.2.1)";
        let status = StatusCode::BAD_REQUEST;
        return Err(Failure(problem(status, "bad-upgrade", "not a websocket handshake", detail)));
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = sources.tasks.clone();
    tasks.work(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let io = TokioIo::new(upgraded);
                let limits = WebSocketConfig::default()
                    .max_message_size(Some(limits::EVENT_MESSAGE))
                    .max_frame_size(Some(limits::EVENT_MESSAGE));
                let role = Role::Server;
                let socket = WebSocketStream::from_raw_socket(io, role, Some(limits)).await;
                let cancel = sources.tasks.token().clone();
                stream_events(socket, feed, cancel).await;
            }
            Err(error) => tracing::debug!(%error, "the upgrade failed"),
        }
    });
    let headers = [
        (header::UPGRADE, "websocket".to_owned()),
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

fn accept_key(headers: &HeaderMap) -> Option<String> {
    let is = |name, value: &str| {
        headers
            .get(name)
            .and_then(|found| found.to_str().ok())
            .is_some_and(|found| found.eq_ignore_ascii_case(value))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    (is(header::UPGRADE, "websocket") && is(header::SEC_WEBSOCKET_VERSION, "13"))
        .then(|| derive_accept_key(key.as_bytes()))
}

async fn stream_events<S>(
    socket: WebSocketStream<S>,
    mut feed: Feed,
    cancel: tokio_util::sync::CancellationToken,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let (mut sink, mut incoming) = socket.split();
    let sending = async {
        while let Some(event) = feed.allowed(true).await {
            let text = serde_json::to_string(&event).unwrap_or_default();
            let sent = tokio::time::timeout(limits::STALL_TIMEOUT, sink.send(Message::text(text)));
            if !matches!(sent.await, Ok(Ok(()))) {
                return;
            }
        }
    };
    // What the reader sends is read only to notice that it has gone.
    let listening = async { while let Some(Ok(_)) = incoming.next().await {} };
    let until_one_ends = futures_util::future::select(Box::pin(sending), Box::pin(listening));
    let reason = match cancel.run_until_cancelled(until_one_ends).await {
        None => "stationd is stopping",
        Some(Either::Left(_)) => "the session has ended, or the events cannot be read",
        Some(Either::Right(_)) => return,
    };
    let frame = CloseFrame { code: CloseCode::Away, reason: reason.into() };
    let closing = sink.send(Message::Close(Some(frame)));
    // A reader that takes nothing learns it from the end of the connection.
    drop(tokio::time::timeout(limits::DRAIN, closing).await);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::store::NewEvent;

    async fn feed(store: &Store) -> (Feed, Arc<AtomicBool>) {
        let valid = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&valid);
        let still_valid = StillValid(Arc::new(move || asked.load(Ordering::Relaxed)));
        let feed = Feed::start(store, 0, Some(still_valid)).await;
        (feed.map_err(|failure| failure.0).unwrap(), valid)
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_session_at_the_next_event() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), &[]).unwrap();
        let (mut feed, valid) = feed(&store).await;
        store.note(NewEvent::new("one", "", ""));
        assert_eq!(feed.allowed(true).await.unwrap().kind, "one");
        valid.store(false, Ordering::Relaxed);
        store.note(NewEvent::new("two", "", ""));
        assert_eq!(feed.allowed(true).await, None);
    }

    #[tokio::test]
    async fn a_quiet_stream_ends_with_its_session_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), &[]).unwrap();
        let (mut feed, valid) = feed(&store).await;
        valid.store(false, Ordering::Relaxed);
        feed.check = Duration::from_millis(10);
        assert_eq!(feed.allowed(true).await, None);
    }
}
