//! Stands in for `jupyter-lab` where the app itself must cost next to nothing: takes its flags,
//! listens on its Unix socket, and answers below its `base_url`:
//! `api` and what the readiness probe asks, `small` (128 bytes), `large` (64 MiB), `echo` (a
//! websocket that sends every message back).
//!
//! `--bench-port=PORT` listens on that loopback port too, for measuring without a proxy.
//! It is not JupyterLab: no kernels, no login, no files.

use std::convert::Infallible;
use std::path::PathBuf;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

const SMALL_BYTES: usize = 128;
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS: usize = 1024;
const VERSION: &str = "4.6.6";

type Body = BoxBody<Bytes, Infallible>;

/// What the command line asks for; flags of `jupyter-lab` that mean nothing here are let through.
#[derive(Debug, Clone, Default)]
struct Flags {
    socket: Option<PathBuf>,
    base_url: String,
    port: Option<u16>,
}

impl Flags {
    fn parse() -> anyhow::Result<Option<Self>> {
        let mut flags = Self { base_url: "/".to_owned(), ..Self::default() };
        for argument in std::env::args().skip(1) {
            match argument.split_once('=') {
                Some(("--ServerApp.sock", path)) => flags.socket = Some(path.into()),
                Some(("--ServerApp.base_url", url)) => url.clone_into(&mut flags.base_url),
                Some(("--bench-port", port)) => {
                    flags.port = Some(port.parse().context("--bench-port needs a number")?);
                }
                None if argument == "--version" => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(flags))
    }
}

fn main() -> anyhow::Result<()> {
    let Some(flags) = Flags::parse()? else {
        show(VERSION);
        return Ok(());
    };
    // One thread: what is measured is the proxy in front of it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(flags))
}

#[expect(clippy::print_stdout, reason = "the answer to --version")]
fn show(line: &str) {
    println!("{line}");
}

async fn serve(flags: Flags) -> anyhow::Result<()> {
    let socket = flags.socket.clone().context("--ServerApp.sock is missing")?;
    // jupyter-lab replaces a stale socket too.
    let _gone = std::fs::remove_file(&socket);
    let unix = UnixListener::bind(&socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    if let Some(port) = flags.port {
        let tcp = TcpListener::bind(("127.0.0.1", port)).await?;
        let base_url = flags.base_url.clone();
        spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let _late = stream.set_nodelay(true);
                spawn(connection(stream, base_url.clone()));
            }
        });
    }
    loop {
        let (stream, _) = unix.accept().await?;
        spawn(connection(stream, flags.base_url.clone()));
    }
}

#[expect(clippy::disallowed_methods, reason = "ends with the process; nothing waits for it")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    base_url: String,
) {
    let service = service_fn(move |request| {
        let answer = answer(request, &base_url);
        async { Ok::<_, Infallible>(answer) }
    });
    // The other side going away is no event here.
    let _ended =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

fn answer(request: Request<Incoming>, base_url: &str) -> Response<Body> {
    let path = request.uri().path();
    match path.strip_prefix(base_url) {
        Some("small") => full(StatusCode::OK, vec![b'x'; SMALL_BYTES]),
        Some("large") => large(),
        Some("echo") => echo(request),
        Some("api") => full(StatusCode::OK, br#"{"version": "2.21.1"}"#.to_vec()),
        Some("api/status") => full(
            StatusCode::OK,
            br#"{"connections": 0, "kernels": 0, "last_activity": "2026-01-01T00:00:00.000000Z", "started": "2026-01-01T00:00:00.000000Z"}"#
                .to_vec(),
        ),
        Some("api/kernels" | "api/sessions" | "api/terminals") => {
            full(StatusCode::OK, b"[]".to_vec())
        }
        _ => full(StatusCode::NOT_FOUND, Vec::new()),
    }
}

fn full(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    response
}

fn large() -> Response<Body> {
    let chunk = Bytes::from(vec![b'x'; CHUNK_BYTES]);
    let frames = std::iter::repeat_n(chunk, CHUNKS).map(|chunk| Ok(Frame::data(chunk)));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream::iter(frames))));
    response.headers_mut().insert(header::CONTENT_LENGTH, (CHUNK_BYTES * CHUNKS).into());
    response
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return full(StatusCode::BAD_REQUEST, Vec::new());
    };
    let accept = derive_accept_key(key.as_bytes());
    let mut response = full(StatusCode::SWITCHING_PROTOCOLS, Vec::new());
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    if let Ok(accept) = accept.parse() {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let stream = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let is_data = message.is_text() || message.is_binary();
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    response
}
