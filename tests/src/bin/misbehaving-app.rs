//! The stand-in for `jupyter-lab`: see `station_tests::standin`.
//!
//! It answers Jupyter's own status API, so that stationd takes it for one, and a few paths of its
//! own below the base URL: `/echo` (websocket), `/api/kernels/k/channels` (a kernel that counts), `/upload` (counts), `/bytes/N` (N bytes),
//! `/head` (the request as JSON), `/ended` (never ends), anything else as text.

use std::convert::Infallible;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Poll_, Poll};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{SigHandler, Signal, signal};
use station_tests::standin::{self, Behaviour, Seen};
use tokio::net::UnixListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, handshake::derive_accept_key, protocol::Role};

type Answer = Response<BoxBody<Bytes, Infallible>>;

struct StandIn {
    base: String,
    station: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let flag = |name: &str| {
        let prefix = format!("--ServerApp.{name}=");
        arguments.iter().find_map(|argument| argument.strip_prefix(&prefix).map(str::to_owned))
    };
    let admin = std::env::var("STATIOND_SOCKET").context("STATIOND_SOCKET is not set")?;
    // STATION/h/run/admin.sock
    let station = Path::new(&admin).ancestors().nth(3).context("a short path")?.to_owned();
    say("[I stand-in] starting");
    match standin::behaviour(&station) {
        Behaviour::CrashAtStart => crash("no module named 'jupyterlab'"),
        Behaviour::NeverListen => std::future::pending().await,
        Behaviour::Escape => escape()?,
        Behaviour::Flood => flood(),
        _ => {}
    }
    let socket = flag("sock").context("--ServerApp.sock is missing")?;
    let base = flag("base_url").context("--ServerApp.base_url is missing")?;
    if Path::new(&socket).exists() {
        std::fs::remove_file(&socket)?;
    }
    let listener = UnixListener::bind(&socket)?;
    let standin = Arc::new(StandIn { base: base.trim_end_matches('/').to_owned(), station });
    loop {
        let (stream, _) = listener.accept().await?;
        let standin = Arc::clone(&standin);
        run(async move {
            let service = service_fn(move |request| {
                let standin = Arc::clone(&standin);
                async move { Ok::<_, Infallible>(standin.answer(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .max_buf_size(64 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            drop(connection.with_upgrades().await);
        });
    }
}

impl StandIn {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().strip_prefix(&self.base).unwrap_or_default().to_owned();
        let probe = path.starts_with("/api");
        if !probe && let Err(error) = self.write_down(&request) {
            return text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"));
        }
        match standin::behaviour(&self.station) {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Crash => crash("Killed by the test"),
            Behaviour::RefuseUpgrades if request.headers().contains_key("upgrade") => {
                return text(StatusCode::FORBIDDEN, "no upgrades here".to_owned());
            }
            _ => {}
        }
        match path.as_str() {
            "/api" => json(r#"{"version": "2.0.0"}"#),
            "/api/status" => {
                let idle = "2026-01-01T00:00:00.000000Z";
                json(&format!(
                    r#"{{"started": "{idle}", "last_activity": "{idle}", "connections": 0, "kernels": 0}}"#
                ))
            }
            "/api/kernels" | "/api/terminals" | "/api/sessions" => json("[]"),
            "/echo" => echo(request),
            "/api/kernels/k/channels" => count(request),
            "/api/counted" => text(StatusCode::OK, NEXT.load(Ordering::Relaxed).to_string()),
            "/head" => json(&serde_json::to_string(&seen(&request)).unwrap_or_default()),
            "/upload" => upload(request.into_body()).await,
            "/ended" => std::future::pending().await,
            path => match path.strip_prefix("/bytes/").and_then(|count| count.parse().ok()) {
                Some(count) => Response::new(Zeros(count).boxed()),
                None => text(StatusCode::OK, format!("stand-in {path}")),
            },
        }
    }

    fn write_down(&self, request: &Request<Incoming>) -> Result<()> {
        let path = standin::seen_file(&self.station);
        let mut file = std::fs::File::options().create(true).append(true).open(path)?;
        let line = serde_json::to_string(&seen(request))? + "\n";
        Ok(file.write_all(line.as_bytes())?)
    }
}

fn seen(request: &Request<Incoming>) -> Seen {
    Seen {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect(),
    }
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = status;
    response
}

fn json(text: &str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())).boxed());
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

async fn upload(mut body: Incoming) -> Answer {
    let mut count = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => count += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }
    text(StatusCode::OK, count.to_string())
}

/// Sends every message back.
fn echo(request: Request<Incoming>) -> Answer {
    websocket(request, |socket| async move {
        let (out, messages) = socket.split();
        let echoed = messages.filter(|message| {
            let data = message.as_ref().is_ok_and(|one| one.is_text() || one.is_binary());
            std::future::ready(data || message.is_err())
        });
        drop(echoed.forward(out).await);
    })
}

/// The number that comes next.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Counts, as a kernel prints: each number is sent once, whoever is connected by then. As Jupyter
/// does, it closes when it is asked to, after what it has sent.
fn count(request: Request<Incoming>) -> Answer {
    websocket(request, |mut socket| async move {
        loop {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let line = format!("{next} {}", "x".repeat(1024));
            if socket.send(Message::text(line)).await.is_err() {
                return;
            }
            if socket.next().now_or_never().is_some() {
                drop(socket.close(None).await);
                return;
            }
        }
    })
}

/// Answers 101 and serves what follows.
fn websocket<F>(
    mut request: Request<Incoming>,
    serve: impl FnOnce(WebSocketStream<TokioIo<Upgraded>>) -> F + Send + 'static,
) -> Answer
where
    F: Future<Output = ()> + Send,
{
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return text(StatusCode::BAD_REQUEST, "not an upgrade".to_owned());
    };
    let accept = derive_accept_key(key.as_bytes());
    run(async move {
        let Ok(upgraded) = hyper::upgrade::on(&mut request).await else { return };
        let io = TokioIo::new(upgraded);
        serve(WebSocketStream::from_raw_socket(io, Role::Server, None).await).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .body(Full::new(Bytes::new()).boxed())
        .unwrap_or_default()
}

/// A body of so many zeros.
struct Zeros(u64);

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Poll_<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static BLOCK: [u8; 65536] = [0; 65536];
        let length = usize::try_from(self.0).unwrap_or(usize::MAX).min(BLOCK.len());
        if length == 0 {
            return Poll::Ready(None);
        }
        self.0 -= length as u64;
        let block = Bytes::from_static(&BLOCK).slice(..length);
        Poll::Ready(Some(Ok(Frame::data(block))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

fn run(work: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "it lives as long as this small program")]
    drop(tokio::spawn(work));
}

#[expect(clippy::print_stderr, reason = "an app logs there")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::exit, reason = "this is how an app crashes")]
fn crash(why: &str) -> ! {
    say("Traceback (most recent call last):");
    say(&format!("StandInError: {why} <script>alert(1)</script> token=hunter2"));
    std::process::exit(3)
}

/// Starts a shell that leaves this session and ignores SIGTERM, with a child that does the same.
fn escape() -> Result<()> {
    #[expect(unsafe_code, reason = "the handler is the kernel's own")]
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe {
        signal(Signal::SIGTERM, SigHandler::SigIgn)?;
    }
    let mut command = station_tests::process::command(Path::new("/usr/bin/setsid"));
    command.arg("--fork").args(["sh", "-c", "trap '' TERM HUP; setsid sleep 1234 & sleep 1235"]);
    command.env("STATIOND_SOCKET", std::env::var_os("STATIOND_SOCKET").unwrap_or_default());
    command.env("STATIOND_UNIT", std::env::var_os("STATIOND_UNIT").unwrap_or_default());
    drop(command.spawn()?);
    Ok(())
}

fn flood() {
    std::thread::spawn(|| {
        let line = format!("flood {}\n", "x".repeat(200));
        let mut out = std::io::stderr().lock();
        while out.write_all(line.as_bytes()).is_ok() {}
    });
}
