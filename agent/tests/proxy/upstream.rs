//! An app that records every byte it gets and answers in ways that are hard on a proxy.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use stationd::base::tasks::Tasks;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{UnixListener, UnixStream};

/// What the app saw.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The first bytes of all connections together.
    pub(crate) bytes: Mutex<Vec<u8>>,
    /// Method and raw target of every request that was parsed.
    pub(crate) requests: Mutex<Vec<String>>,
    pub(crate) connections: AtomicUsize,
    pub(crate) body_bytes: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
}

impl Record {
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    pub(crate) fn saw_nothing(&self) -> bool {
        self.bytes.lock().unwrap().is_empty()
    }

    pub(crate) fn forget(&self) {
        self.bytes.lock().unwrap().clear();
        self.requests.lock().unwrap().clear();
    }
}

const RECORDED: usize = 1024 * 1024;

struct Recorded {
    stream: UnixStream,
    record: Arc<Record>,
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let mut bytes = self.record.bytes.lock().unwrap();
        if bytes.len() < RECORDED {
            bytes.extend_from_slice(&buf.filled()[before..]);
        }
        drop(bytes);
        polled
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Listens on `path` until the tasks are cancelled.
pub(crate) fn start(path: &Path, tasks: &Tasks) -> Arc<Record> {
    let listener = UnixListener::bind(path).unwrap();
    let record = Arc::new(Record::default());
    let (recorded, inner) = (Arc::clone(&record), tasks.clone());
    let accepting = async move {
        while let Ok((stream, _)) = listener.accept().await {
            recorded.connections.fetch_add(1, Ordering::Relaxed);
            inner.work(connection(stream, Arc::clone(&recorded), inner.clone()));
        }
    };
    let cancel = tasks.token().clone();
    tasks.work(async move {
        cancel.run_until_cancelled(accepting).await;
    });
    record
}

async fn connection(stream: UnixStream, record: Arc<Record>, tasks: Tasks) {
    let io = TokioIo::new(Recorded { stream, record: Arc::clone(&record) });
    let cancel = tasks.token().clone();
    let service = hyper::service::service_fn(move |request| {
        answer(request, Arc::clone(&record), tasks.clone())
    });
    let served = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(io, service)
        .with_upgrades();
    cancel.run_until_cancelled(served).await;
}

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

async fn answer(
    mut request: Request<Incoming>,
    record: Arc<Record>,
    tasks: Tasks,
) -> Result<Response<Body>, Infallible> {
    let target = request.uri().path_and_query().unwrap().to_string();
    let line = format!("{} {target}", request.method());
    record.requests.lock().unwrap().push(line.clone());
    let path = request.uri().path().to_owned();
    let what = path.rsplit_once("/do/").map_or("echo", |(_, what)| what);
    Ok(match what.split_once('/').unwrap_or((what, "")) {
        ("bytes", count) => {
            let chunk = Bytes::from(vec![7; 64 * 1024]);
            let chunks = count.parse::<usize>().unwrap() / chunk.len();
            let frames = stream::repeat(chunk).take(chunks);
            let frames = frames.map(|chunk| Ok(Frame::data(chunk)));
            Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
        }
        ("sink", _) => {
            let mut total = 0;
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                total += bytes;
                record.body_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Response::new(whole(total.to_string()))
        }
        ("sse", _) => {
            let first = stream::once(async { Ok(Frame::data(Bytes::from("data: 1\n\n"))) });
            Response::new(BodyExt::boxed_unsync(StreamBody::new(first.chain(stream::pending()))))
        }
        ("never", _) => {
            let _guard = Cancelled(record);
            std::future::pending().await
        }
        ("early", _) => {
            let mut early = Response::new(whole("too large"));
            *early.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            early
        }
        ("cookies", _) => Response::builder()
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("Connection", "X-Hop")
            .header("X-Hop", "1")
            .header("X-CaSe", "kept")
            .body(whole("cookies"))
            .unwrap(),
        ("moved", to) => {
            let host = request.headers().get("Host").and_then(|host| host.to_str().ok());
            Response::builder()
                .status(StatusCode::FOUND)
                .header("Location", to.replace("HOST", host.unwrap_or_default()).replace('~', "/"))
                .header("Set-Cookie", "a=1; Path=/; HttpOnly")
                .header("Set-Cookie", "b=2; Domain=localhost")
                .body(whole("moved"))
                .unwrap()
        }
        ("ws", how) => websocket(&mut request, how, &tasks),
        ("status", code) => Response::builder().status(code).body(whole("status")).unwrap(),
        _ => {
            let mut text = line + "\n";
            for (name, value) in request.headers() {
                let value = String::from_utf8_lossy(value.as_bytes());
                text.extend([name.as_str(), ": ", &value, "\n"]);
            }
            Response::new(whole(text))
        }
    })
}

struct Cancelled(Arc<Record>);
impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::Relaxed);
    }
}

/// A Close with two bytes of a code, as a client sends it with a mask of zeros.
const CLOSE_MASKED: [u8; 6] = [0x88, 0x82, 0, 0, 0, 0];

/// Takes the upgrade and sends every byte back, but a Close, which it answers and hangs up; `how` =
/// `frames` speaks first and before its Close, `deaf` answers no Close, `half` answers only after
/// the client has closed its side.
fn websocket(request: &mut Request<Incoming>, how: &str, tasks: &Tasks) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut *request);
    let how = how.to_owned();
    let cancel = tasks.token().clone();
    let talk = async move {
        let mut io = TokioIo::new(upgrade.await.unwrap());
        if how == "half" {
            let mut all = Vec::new();
            io.read_to_end(&mut all).await.unwrap();
            io.write_all(&all).await.unwrap();
        } else {
            if how == "frames" {
                io.write_all(b"\x81\x05hello").await.unwrap();
            }
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = io.read(&mut buffer).await {
                if let Some(code) = buffer[..read].strip_prefix(&CLOSE_MASKED) {
                    if how == "deaf" {
                        continue;
                    }
                    let last = if how == "frames" { &b"\x81\x03bye"[..] } else { b"" };
                    let close = [last, &[0x88, 2], code].concat();
                    drop(io.write_all(&close).await);
                    break;
                }
                if io.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        }
        drop(io.shutdown().await);
    };
    tasks.work(async move {
        cancel.run_until_cancelled(talk).await;
    });
    let extensions = request.headers().get("sec-websocket-extensions").cloned();
    let mut answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Accept", "accepted")
        .header("Sec-WebSocket-Protocol", "v1.kernel.websocket.jupyter.org");
    if request.uri().query() == Some("cookie") {
        answer = answer.header("Set-Cookie", "w=1; Path=/");
    }
    if let Some(extensions) = extensions {
        answer = answer.header("Sec-WebSocket-Extensions", extensions);
    }
    answer.body(Empty::new().boxed_unsync()).unwrap()
}
