//! One request to an app and its answer, streamed both ways.
//!
//! Nothing is collected: a frame is read when the other side takes one, so that a slow side slows
//! the fast one down. When the client goes away its future is dropped, and the connection to the
//! app with it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;

use crate::base::tasks::Tasks;
use crate::proxy::Body;
use crate::proxy::headers::{self, Back};
use crate::proxy::metrics::Metrics;
use crate::proxy::pool::{ConnectError, Link, Names, Pool, Taken};

/// Why there is no answer from the app.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error("the app cannot be reached")]
    Connect(#[source] ConnectError),
    #[error("the app closed the connection or answered in no way that HTTP knows")]
    Exchange(#[source] hyper::Error),
}

/// What goes up to the app.
#[derive(Debug)]
pub enum Upload {
    Empty,
    Client(FromClient),
}

/// The client's body on its way up.
#[derive(Debug)]
pub struct FromClient {
    body: Incoming,
    done: Arc<AtomicBool>,
    bytes: Counter,
}

/// Set when the client's body has been read to its end; none if there is no body.
pub(super) type Uploaded = Option<Arc<AtomicBool>>;

impl Upload {
    /// Wraps a client's body; the flag tells when all of it has been read.
    pub(super) fn new(body: Incoming, bytes: &Counter) -> (Self, Uploaded) {
        if body.is_end_stream() {
            return (Self::Empty, None);
        }
        let done = Arc::new(AtomicBool::new(false));
        let from_client = FromClient { body, done: Arc::clone(&done), bytes: bytes.clone() };
        (Self::Client(from_client), Some(done))
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Client(client) = self.get_mut() else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut client.body).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            if let Some(Ok(frame)) = frame
                && let Some(data) = frame.data_ref()
            {
                client.bytes.inc_by(data.len() as u64);
            }
            if frame.is_none() || client.body.is_end_stream() {
                client.done.store(true, Ordering::Release);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(client) => client.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(client) => client.body.size_hint(),
        }
    }
}

/// A pooled connection that lay idle this long may have been closed by the app just now; the
/// request is kept so that it can be sent again.
const SUSPECT: Duration = Duration::from_millis(200);

/// Sends a request and returns the answer's head with its body streaming.
pub(super) async fn forward(
    pool: &Arc<Pool>,
    (request, uploaded): (Request<Upload>, Uploaded),
    back: Back<'_>,
    tasks: &Tasks,
    metrics: &Metrics,
) -> Result<Response<Body>, ForwardError> {
    let Taken { mut link, idle } = pool.take().await.map_err(ForwardError::Connect)?;
    let spare = idle.filter(|idle| *idle >= SUSPECT).and_then(|_| copy_of_repeatable(&request));
    let answer = match exchange(&mut link, request).await {
        Ok(answer) => answer,
        Err((error, unsent)) => {
            let again = unsent.or(spare).filter(|_| idle.is_some());
            let Some(again) = again else {
                return Err(ForwardError::Exchange(error));
            };
            let fresh = pool.connect(Names::AnyCase).await;
            link = fresh.map_err(ForwardError::Connect)?;
            let second = exchange(&mut link, again).await;
            second.map_err(|(error, _)| ForwardError::Exchange(error))?
        }
    };
    let link = if uploaded.is_none_or(|done| done.load(Ordering::Acquire)) {
        Some(link)
    } else {
        // The app answers while the client still sends: both ways must move on their own.
        if let Some(connection) = link.connection {
            tasks.work(async move { drop(connection.await) });
        }
        None
    };
    Ok(down(answer, link, pool, (back, metrics)))
}

/// Makes an app's answer into ours.
pub(super) fn down(
    answer: Response<Incoming>,
    link: Option<Link>,
    pool: &Arc<Pool>,
    (back, metrics): (Back<'_>, &Metrics),
) -> Response<Body> {
    let (mut head, incoming) = answer.into_parts();
    head.version = Version::HTTP_11;
    headers::to_client(&mut head.headers, back, false);
    let mut download =
        Download { incoming, link, pool: Arc::clone(pool), bytes: metrics.bytes_to_client.clone() };
    download.settle();
    Response::from_parts(head, download.boxed_unsync())
}

type Unsent = Option<Request<Upload>>;

async fn exchange(
    link: &mut Link,
    request: Request<Upload>,
) -> Result<Response<Incoming>, (hyper::Error, Unsent)> {
    let mut answer = pin!(link.sender.try_send_request(request));
    let answered = poll_fn(|cx| {
        link.drive(cx);
        answer.as_mut().poll(cx)
    });
    answered.await.map_err(|mut error| {
        let unsent = error.take_message();
        (error.into_error(), unsent)
    })
}

/// The same request again, if sending it twice does no harm.
fn copy_of_repeatable(request: &Request<Upload>) -> Option<Request<Upload>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe || !matches!(request.body(), Upload::Empty) {
        return None;
    }
    let mut copy = Request::new(Upload::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

/// The app's body on its way down. It moves the connection it comes from.
struct Download {
    incoming: Incoming,
    link: Option<Link>,
    pool: Arc<Pool>,
    bytes: Counter,
}

impl Download {
    /// Gives the connection back once nothing more comes from it.
    fn settle(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(link) = self.link.take()
        {
            self.pool.give(link);
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // The length may be complete without the end having been read.
        if let Some(link) = &mut self.link {
            link.drive(&mut Context::from_waker(Waker::noop()));
        }
        self.settle();
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if let (Poll::Pending, Some(link)) = (&polled, &mut this.link) {
            link.drive(cx);
            polled = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                if let Some(link) = this.link.take() {
                    this.pool.give(link);
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(frame)) => {
                if let Ok(frame) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    this.bytes.inc_by(data.len() as u64);
                }
                this.settle();
                Poll::Ready(Some(frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
