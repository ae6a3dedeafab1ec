//! A client that behaves as a browser does where it matters: `Host`, cookies, `Origin`, TLS.
//!
//! One connection a request. It follows no redirect, so that tests see each answer.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, handshake::client::generate_key};

/// Longest wait for an answer's head or its small body.
const LIMIT: Duration = Duration::from_secs(60);
/// Largest body that is read as a whole.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> Stream for T {}
/// A websocket through the front door.
pub type WebSocket = WebSocketStream<Box<dyn Stream>>;

/// A browser without a screen: one server, one set of cookies.
#[derive(Debug)]
pub struct Client {
    tls: bool,
    /// `host:port` to connect to.
    address: String,
    /// What `Host` says.
    pub host: String,
    /// What `Origin` says on unsafe requests and upgrades; `None` leaves it out.
    pub origin: Option<String>,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Itself, if it has this status.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status.as_u16() != status {
            bail!("{} instead of {status}: {}", self.status, self.text());
        }
        Ok(self)
    }
}

/// A websocket, or the answer that refused it.
#[derive(Debug)]
pub enum Upgraded {
    Open(Box<WebSocket>),
    Refused(Answer),
}

impl Client {
    /// `url` as stationd tells it: `http://127.0.0.1:8710`.
    pub fn new(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("a URL has a scheme")?;
        let host = rest.trim_end_matches('/').to_owned();
        Ok(Self {
            tls: scheme == "https",
            address: host.clone(),
            origin: Some(format!("{scheme}://{host}")),
            host,
            cookies: Mutex::default(),
        })
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar().insert(name.to_owned(), value.to_owned());
    }

    pub fn clear_cookies(&self) {
        self.jar().clear();
    }

    /// Every cookie, to hand the session to a browser.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.jar().clone()
    }

    fn jar(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page, as a browser asks for it.
    pub async fn page(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, &[("accept", "text/html,*/*;q=0.8")], Bytes::new()).await
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, json: &serde_json::Value) -> Result<Answer> {
        let headers = [("content-type", "application/json")];
        self.call(Method::POST, path, &headers, json.to_string().into()).await
    }

    /// Any request with a small body and a small answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        let request = self.request(&method, path, headers, Full::new(body))?;
        whole(self.send(request).await?).await
    }

    /// A request with this client's `Host`, `Origin` and cookies; `headers` come on top.
    pub fn request<B>(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: B,
    ) -> Result<Request<B>> {
        let mut request = Request::builder().method(method).uri(path).body(body)?;
        let map = request.headers_mut();
        map.insert(header::HOST, HeaderValue::from_str(&self.host)?);
        let cookies: Vec<String> =
            self.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            map.insert(header::COOKIE, HeaderValue::from_str(&cookies.join("; "))?);
        }
        if let Some(origin) = self.origin.as_ref().filter(|_| !method.is_safe()) {
            map.insert(header::ORIGIN, HeaderValue::from_str(origin)?);
        }
        for (name, value) in headers {
            map.insert(HeaderName::try_from(*name)?, HeaderValue::from_str(value)?);
        }
        Ok(request)
    }

    /// Sends a request; the answer's body streams. Cookies that it sets are kept.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let io = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        #[expect(clippy::disallowed_methods, reason = "it ends with its connection")]
        tokio::spawn(connection.with_upgrades());
        let response = tokio::time::timeout(LIMIT, sender.send_request(request))
            .await
            .context("no answer in time")??;
        self.keep_cookies(response.headers());
        Ok(response)
    }

    /// Opens a websocket.
    pub async fn websocket(&self, path: &str, headers: &[(&str, &str)]) -> Result<Upgraded> {
        let key = generate_key();
        let origin = self.origin.clone().unwrap_or_default();
        let mut all = vec![
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", key.as_str()),
        ];
        if !origin.is_empty() {
            all.push(("origin", &origin));
        }
        all.extend(headers);
        let request = self.request(&Method::GET, path, &all, Full::new(Bytes::new()))?;
        let mut response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Upgraded::Refused(whole(response).await?));
        }
        let accept = response.headers().get("sec-websocket-accept").cloned();
        let expected = tungstenite::handshake::derive_accept_key(key.as_bytes());
        if accept.is_none_or(|accept| accept != expected) {
            bail!("Sec-WebSocket-Accept does not answer the key");
        }
        let upgraded = hyper::upgrade::on(&mut response).await?;
        let stream: Box<dyn Stream> = Box::new(TokioIo::new(upgraded));
        let role = tungstenite::protocol::Role::Client;
        Ok(Upgraded::Open(Box::new(WebSocketStream::from_raw_socket(stream, role, None).await)))
    }

    /// Opens a websocket that must not be refused.
    pub async fn open_websocket(&self, path: &str) -> Result<WebSocket> {
        match self.websocket(path, &[]).await? {
            Upgraded::Open(socket) => Ok(*socket),
            Upgraded::Refused(answer) => bail!("{}: {}", answer.status, answer.text()),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        if !self.tls {
            return Ok(Box::new(tcp));
        }
        let name = self.address.rsplit_once(':').map_or(self.address.as_str(), |(name, _)| name);
        let name = ServerName::try_from(name.to_owned())?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(
            stationd::diagnose::kernel::any_certificate()?,
        ));
        Ok(Box::new(connector.connect(name, tcp).await?))
    }

    fn keep_cookies(&self, headers: &HeaderMap) {
        let mut jar = self.jar();
        for cookie in headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap_or_default();
            let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            let gone = value.is_empty() || attributes.to_ascii_lowercase().contains("max-age=0");
            if gone {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Reads a small answer to its end.
pub async fn whole(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    #[expect(clippy::disallowed_methods, reason = "the body is Limited")]
    let body = tokio::time::timeout(LIMIT, Limited::new(body, BODY_MAX).collect())
        .await
        .context("the body did not end in time")?
        .map_err(|error| anyhow::anyhow!("the body broke off: {error}"))?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}
