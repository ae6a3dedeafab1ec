//! Builds the front, the proxy and the app, and speaks to them in raw bytes.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use stationd::attend::channels::SOCKET;
use stationd::base::tasks::Tasks;
use stationd::front::gate::{Names, Policy, Via};
use stationd::front::routes::{Answer, Body, Caller, Handler, Routes};
use stationd::front::{self, Config, Credentials, Refused, Session, Token, Wanted};
use stationd::proxy::{self, Entry, Prefix, Proxy, State, Table, Target, Unavailable};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::upstream::{self, Record};

/// Everything, running.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) record: Arc<Record>,
    pub(crate) outside: Arc<Outside>,
    pub(crate) table: watch::Sender<Arc<Table>>,
    pub(crate) proxy: Proxy,
    pub(crate) tasks: Tasks,
    /// The app has its own tasks: it outlives the daemon.
    pub(crate) app_tasks: Tasks,
    pub(crate) home: TempDir,
}

/// Plays identity, apps and web.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) revoked: Mutex<HashSet<String>>,
    pub(crate) active: Mutex<Vec<String>>,
    pub(crate) used: Mutex<Vec<String>>,
    pub(crate) woken: Mutex<Vec<String>>,
    /// Why no start begins.
    pub(crate) no_start: Mutex<Option<String>>,
}

impl Credentials for Outside {
    fn session(&self, cookie: &str) -> Option<Session> {
        let assigned = match cookie {
            "good" => true,
            "other" => false,
            _ => return None,
        };
        Some(Session { id: cookie.into(), user: "ada".into(), assigned })
    }
    fn used(&self, session: &Session) {
        self.used.lock().unwrap().push(session.id.to_string());
    }
    fn bearer(&self, token: &str, wanted: Wanted<'_>) -> Option<Token> {
        let may = match token {
            "stn_all" => true,
            "stn_little" => false,
            "stn_lab" => wanted.app == Some("lab"),
            _ => return None,
        };
        Some(Token { id: token.into(), user: "ada".into(), may })
    }
    fn app_cookie(&self, value: &str, wanted: Wanted<'_>) -> Option<Token> {
        self.bearer(value.strip_prefix("for-")?, wanted)
    }
    fn used_token(&self, token: &Token) {
        self.used.lock().unwrap().push(token.id.to_string());
    }
    fn exchanged(&self, token: &str, app: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("st-app=for-{token}; Path=/apps/{app}/")).ok()
    }
}

fn page(text: String) -> Response<Body> {
    Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync())
}

impl front::Pages for Outside {
    fn refused(&self, refused: &Refused<'_>) -> Response<Body> {
        page(format!("<p>{} {} {}", refused.word, refused.advice, refused.wanted))
    }
}

impl proxy::Pages for Outside {
    fn starting(&self, app: &str, message: &str) -> Response<Body> {
        page(format!("<p>{app} starting {message}"))
    }
    fn unavailable(&self, app: &str, facts: &Unavailable) -> Response<Body> {
        page(format!("<p>{app} down {facts:?}"))
    }
    fn unknown(&self, app: &str, known: &[&str]) -> Response<Body> {
        page(format!("<p>{app} unknown {known:?}"))
    }
}

impl proxy::Activity for Outside {
    fn http(&self, app: &str, _: &proxy::Caller, _: &http::Method, path: &str) {
        self.active.lock().unwrap().push(format!("{app} {path}"));
    }
    fn websocket_data(&self, app: &str, _: &proxy::Caller, _: &str, direction: proxy::Direction) {
        self.active.lock().unwrap().push(format!("{app} {direction:?}"));
    }
}

impl proxy::Sessions for Outside {
    fn still_valid(&self, caller: &proxy::Caller) -> bool {
        let revoked = self.revoked.lock().unwrap();
        let ended = |name: &Option<Arc<str>>| name.as_deref().is_some_and(|n| revoked.contains(n));
        !ended(&caller.session) && !ended(&caller.token)
    }
}

impl proxy::Wake for Outside {
    fn wanted(&self, app: &str) -> proxy::Woken {
        self.woken.lock().unwrap().push(app.to_owned());
        let woken = self.no_start.lock().unwrap().clone().map_or(Ok(()), Err);
        Box::pin(std::future::ready(woken))
    }
}

/// The edge from front to proxy.
struct ToProxy(Proxy);

impl Handler for ToProxy {
    fn handle(&self, request: Request<Incoming>, caller: Caller) -> Answer {
        let caller = proxy::Caller {
            session: caller.session,
            token: caller.token,
            by_token: caller.via == Via::Bearer,
            tls: caller.tls,
            peer_text: caller.peer_text,
            cookie_name: caller.cookie_name,
        };
        Box::pin(self.0.handle(request, caller))
    }
}

struct Plain;

impl Handler for Plain {
    fn handle(&self, _: Request<Incoming>, caller: Caller) -> Answer {
        Box::pin(async move { page(format!("plain {:?}", caller.via)) })
    }
}

pub(crate) const READ: Policy = Policy::Api { session_may: true, action: "computes/read" };
pub(crate) const POWER: Policy = Policy::Api { session_may: false, action: "computes/stop/action" };

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("s");
        let ((tasks, _), (app_tasks, _)) = (Tasks::new(), Tasks::new());
        let record = upstream::start(&socket, &app_tasks);
        let target = |prefix, state| {
            Entry::App(Target {
                socket: socket.clone(),
                peer_uid: nix::unistd::geteuid().as_raw(),
                prefix,
                channels: Some(home.path().join(SOCKET)),
                state,
            })
        };
        let down = |on_demand| {
            State::Down(Unavailable {
                phase: "failed".into(),
                message: "it ended five times".into(),
                on_demand,
                ..Unavailable::default()
            })
        };
        let mut stranger = target(Prefix::Keep, State::Ready);
        if let Entry::App(target) = &mut stranger {
            target.peer_uid += 1;
        }
        let starting = State::Starting { message: "waits for its port".into() };
        let table = Table::from([
            ("lab".to_owned(), target(Prefix::Keep, State::Ready)),
            ("studio".to_owned(), target(Prefix::Strip, State::Ready)),
            ("late".to_owned(), target(Prefix::Keep, starting)),
            ("dead".to_owned(), target(Prefix::Keep, down(false))),
            ("asleep".to_owned(), target(Prefix::Keep, down(true))),
            ("stranger".to_owned(), stranger),
            (
                "alias".to_owned(),
                Entry::Redirect { root: "/apps/lab/tree".into(), below: "/apps/lab".into() },
            ),
        ]);
        let (table, table_seen) = watch::channel(Arc::new(table));
        let outside = Arc::new(Outside::default());
        let seams = proxy::Outside {
            activity: Arc::clone(&outside) as _,
            sessions: Arc::clone(&outside) as _,
            wake: Arc::clone(&outside) as _,
            pages: Arc::clone(&outside) as _,
        };
        let metrics = proxy::metrics::Metrics::register(&mut Registry::default());
        let often = proxy::Config { session_check: Duration::from_millis(200) };
        let proxy = proxy::spawn(&tasks, table_seen, often, metrics, seams);
        let plain: Arc<dyn Handler> = Arc::new(Plain);
        let routes = Routes::new()
            .with(None, "/apps/{name}/*", Policy::App, Arc::new(ToProxy(proxy.clone())))
            .with(Some(http::Method::GET), "/", Policy::Session, Arc::clone(&plain))
            .with(None, "/healthz", Policy::Open, Arc::clone(&plain))
            .with(None, "/v1/apps", READ, Arc::clone(&plain))
            .with(None, "/v1/power", POWER, plain);
        let names =
            Names { allowed_origins: vec!["https://friend.example".into()], ..Names::default() };
        let mut config = Config::new(watch::channel(Arc::new(names)).1, "st", "st-app");
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let front_outside = front::Outside {
            credentials: Arc::clone(&outside) as _,
            pages: Arc::clone(&outside) as _,
        };
        front::spawn(&tasks, listener, config, routes, front_outside);
        Self { address, record, outside, table, proxy, tasks, app_tasks, home }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes and reads until the server closes.
    pub(crate) async fn send(&self, raw: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(raw.as_ref()).await.unwrap();
        let mut all = Vec::new();
        // A reset after the answer is as good as an end.
        drop(within(stream.read_to_end(&mut all)).await);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Sends raw bytes and reads the head of the first answer.
    pub(crate) async fn send_once(&self, raw: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(raw).await.unwrap();
        read_head(&mut stream).await
    }

    /// A request of the assigned user's browser, on a connection of its own.
    pub(crate) async fn ask(&self, line: &str, fields: &str) -> String {
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        self.send(format!("{head}Cookie: st=good\r\n{fields}\r\n")).await
    }

    /// A websocket of the assigned user's browser, and the head of the answer.
    pub(crate) async fn websocket(&self, path: &str) -> (TcpStream, String) {
        let own = format!("http://{}", self.address);
        self.websocket_from(path, &format!("Origin: {own}\r\nCookie: st=good\r\n")).await
    }

    pub(crate) async fn websocket_from(&self, path: &str, fields: &str) -> (TcpStream, String) {
        let mut stream = self.connect().await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n{fields}\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        (stream, head)
    }

    /// Stops everything and checks that it can be stopped.
    pub(crate) async fn stop(self) {
        self.tasks.cancel();
        within(self.tasks.joined()).await;
        self.app_tasks.cancel();
        within(self.app_tasks.joined()).await;
    }
}

/// Reads up to and including the empty line.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match within(stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// No wait in a test is longer than this.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(30), future).await.expect("30 s")
}

/// Waits until `holds`, for conditions that no event announces.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(waiting).await;
}

pub(crate) fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).unwrap_or_default();
    code.parse().unwrap_or_default()
}
