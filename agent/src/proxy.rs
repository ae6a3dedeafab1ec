//! Requests and websockets to the apps, chosen by name from a table, never by the client.
//!
//! ```text
//! /apps/NAME/…  table: Ready ----> pool --> app's Unix socket, answer streamed back
//!                      Ready, websocket --> handshake --101--> bytes relayed (tunnel)
//!                      Degraded -> as Ready; a page waits 5 s, then 503 and what to do
//!                      Starting -> 503, a page that refreshes itself
//!                      Down -----> 503, a page with the last end, the last lines and what to do
//!                      Redirect -> another app's address
//! ```
//!
//! Invariants: nothing is buffered beyond one frame a direction; the path's bytes are untouched;
//! our cookies and a token meant for us never reach an app; the other end of every socket is checked
//! to run as the app's user. Limits: connecting to an app; idle connections. No limit on how long
//! an app may take or a tunnel be quiet: long polls and notebooks need both.
//!
//! Not here: who may come in (the front's gate has decided), and how pages look ([`Pages`]).

pub mod forward;
pub mod headers;
pub mod metrics;
mod pages;
pub mod pool;
pub mod route;
mod task;
mod tunnel;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;

use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::random;
use forward::{ForwardError, Upload};
use headers::rewrite::Below;
use headers::{About, Back};
use metrics::Metrics;
use pages::{Asked, State as Shown};
use pool::Pool;
use route::Place;
use tunnel::{Buffers, Owner};

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What is reachable below `/apps/`, by name.
pub type Table = BTreeMap<String, Entry>;

/// One name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    App(Target),
    /// Another app's address: the name itself goes to `root`, all below it to `below` + the rest.
    /// For `jupyter`: `/apps/jupyterlab/tree` and `/apps/jupyterlab`.
    Redirect {
        root: String,
        below: String,
    },
}

/// An app as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub socket: PathBuf,
    /// The user that the app runs as; whoever else holds the socket gets nothing.
    pub peer_uid: u32,
    pub prefix: Prefix,
    /// Where kernels' websockets are kept over our end; only for Jupyter's servers.
    pub channels: Option<PathBuf>,
    pub state: State,
}

/// Whether the app knows that it lives below `/apps/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// It does (Jupyter's `base_url`): the path goes through as it came.
    Keep,
    /// It does not (RStudio): the prefix is taken off and told in header fields, and put before the
    /// addresses in its answers.
    Strip,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Ready,
    /// It runs and answers no probe. Requests go to it all the same; a person who opens a page
    /// does not wait for ever.
    Degraded(Unavailable),
    /// `message` is one sentence on what it waits for.
    Starting {
        message: String,
    },
    Down(Unavailable),
}

/// Why an app cannot be used now, and what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unavailable {
    /// The word of the app's phase, such as `failed`.
    pub phase: String,
    /// One sentence on what is going on.
    pub message: String,
    /// How it ended last.
    pub last_end: Option<String>,
    /// Its last log lines, oldest first, without secrets.
    pub lines: Vec<String>,
    /// What a person can do: a command in backquotes.
    pub action: String,
    /// A request starts it ([`Wake`]).
    pub on_demand: bool,
    pub why: Why,
}

/// What the proxy saw of an app that cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Why {
    /// Nothing: the supervision says that it does not run.
    #[default]
    NotRunning,
    /// It was asked for and could not be started; the message says why.
    NotStarted,
    /// It took no connection, or broke it; the message says how.
    Unreachable,
    /// It took the request and did not answer.
    Silent,
}

/// Who sent the request; the front has let it pass.
#[derive(Debug, Clone)]
pub struct Caller {
    pub session: Option<Arc<str>>,
    /// Names the token, if one let the caller in, itself or by its cookie.
    pub token: Option<Arc<str>>,
    /// The caller came with the token itself: no page of another site can have sent the request.
    pub by_token: bool,
    pub tls: bool,
    /// The client's address as text.
    pub peer_text: HeaderValue,
    pub cookie_name: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    FromClient,
    FromApp,
}

/// Hears what is used. Called on the hot path: note it in memory, never block.
pub trait Activity: Send + Sync {
    /// A request went to the app.
    fn http(&self, app: &str, caller: &Caller, method: &Method, path: &str);
    /// Messages (not pings) went through a websocket that was opened at `path`; at most once a second
    /// and direction.
    fn websocket_data(&self, app: &str, caller: &Caller, path: &str, direction: Direction);
}

/// Knows whether a session or token that opened a websocket still holds.
pub trait Sessions: Send + Sync {
    fn still_valid(&self, caller: &Caller) -> bool;
}

/// Starts apps that run on demand.
pub trait Wake: Send + Sync {
    /// Somebody wants this app. Ends when its start has begun, or with why it has not; not called
    /// again for this app before that.
    fn wanted(&self, app: &str) -> Woken;
}

/// Why an app could not be started, if so.
pub type Woken = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Shows people what is the matter. The status and `Retry-After` are set by the caller.
pub trait Pages: Send + Sync {
    /// The page refreshes itself.
    fn starting(&self, app: &str, message: &str) -> Response<Body>;
    fn unavailable(&self, app: &str, facts: &Unavailable) -> Response<Body>;
    fn unknown(&self, app: &str, known: &[&str]) -> Response<Body>;
}

/// What the proxy asks of others.
#[derive(Clone)]
pub struct Outside {
    pub activity: Arc<dyn Activity>,
    pub sessions: Arc<dyn Sessions>,
    pub wake: Arc<dyn Wake>,
    pub pages: Arc<dyn Pages>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// Answers everything below `/apps/`.
#[derive(Debug, Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tasks: Tasks,
    table: watch::Receiver<Arc<Table>>,
    config: Config,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
    /// Apps whose start is being asked for.
    waking: Mutex<HashSet<String>>,
    buffers: Arc<Buffers>,
    kept: Arc<Semaphore>,
    metrics: Metrics,
    outside: Outside,
}

/// Settings.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How often an open websocket asks whether its session still holds.
    pub session_check: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { session_check: limits::TUNNEL_CHECK }
    }
}

/// Makes the proxy and starts its housekeeping.
pub fn spawn(
    tasks: &Tasks,
    table: watch::Receiver<Arc<Table>>,
    config: Config,
    metrics: Metrics,
    outside: Outside,
) -> Proxy {
    let inner = Arc::new(Inner {
        tasks: tasks.clone(),
        table,
        config,
        pools: Mutex::default(),
        waking: Mutex::default(),
        buffers: Arc::default(),
        kept: Arc::new(Semaphore::new(limits::KEPT_TUNNELS)),
        metrics,
        outside,
    });
    tasks.part("proxy", task::sweep(Arc::clone(&inner)));
    Proxy { inner }
}

impl Proxy {
    /// Answers one request. The future owns all it needs.
    pub fn handle(
        &self,
        request: Request<Incoming>,
        caller: Caller,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        async move { inner.handle(request, caller).await }
    }

    /// Websockets that are open now.
    pub fn open_tunnels(&self) -> i64 {
        self.inner.metrics.open_tunnels()
    }
}

impl Inner {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, caller: Caller) -> Response<Body> {
        let asked = Asked::of(&request);
        let table = Arc::clone(&self.table.borrow());
        let (name, rest) = match route::place(request.uri().path()) {
            Place::App { name, rest } => (name, rest),
            Place::NoSlash { name } if table.contains_key(name) => {
                let target = request.uri().path_and_query();
                return pages::redirect(asked, &target.map(route::with_slash).unwrap_or_default());
            }
            Place::NoSlash { name } => (name, ""),
            Place::Elsewhere => ("", ""),
        };
        // The name as the table has it: the one in the path moves on with the request.
        let (name, target) = match table.get_key_value(name) {
            None => return self.unknown(asked, name, &table),
            Some((_, Entry::Redirect { root, below })) => {
                let to = pages::redirected(request.uri(), (root, below), rest);
                return pages::redirect(asked, &to);
            }
            Some((name, Entry::App(target))) => (name.as_str(), target),
        };
        match &target.state {
            State::Degraded(facts) if asked.page => {
                let passed = self.pass_on(asked, request, caller, (name, target));
                match timeout(limits::APP_PATIENCE, passed).await {
                    Ok(answer) => answer,
                    Err(_elapsed) => {
                        let silent = Unavailable { why: Why::Silent, ..facts.clone() };
                        self.unavailable(asked, name, &silent)
                    }
                }
            }
            State::Ready | State::Degraded(_) => {
                self.pass_on(asked, request, caller, (name, target)).await
            }
            State::Starting { message } => self.starting(asked, name, message),
            // What an open tab asks again and again starts nothing: it would undo an idle stop.
            State::Down(facts) if facts.on_demand && asked.by_somebody(&caller) => {
                match self.wake(name).await {
                    Ok(()) => self.starting(asked, name, &facts.message),
                    Err(message) => {
                        let why = Why::NotStarted;
                        let facts = Unavailable { message, why, ..facts.clone() };
                        self.unavailable(asked, name, &facts)
                    }
                }
            }
            State::Down(facts) => self.unavailable(asked, name, facts),
        }
    }

    /// Asks for an app's start, which goes on if the client leaves. One asks for all who come
    /// meanwhile; they see the app starting, and ask again if it does not.
    async fn wake(self: &Arc<Self>, name: &str) -> Result<(), String> {
        if !self.waking().insert(name.to_owned()) {
            return Ok(());
        }
        let (told, hears) = oneshot::channel();
        let (inner, name) = (Arc::clone(self), name.to_owned());
        self.tasks.work(async move {
            let woken = timeout(limits::APP_WAKE, inner.outside.wake.wanted(&name)).await;
            let woken = woken.unwrap_or_else(|_elapsed| Err("nobody takes up the start".into()));
            inner.waking().remove(&name);
            // The client may have left.
            drop(told.send(woken));
        });
        hears.await.unwrap_or(Ok(()))
    }

    async fn pass_on(
        self: &Arc<Self>,
        asked: Asked,
        request: Request<Incoming>,
        caller: Caller,
        (name, target): (&str, &Target),
    ) -> Response<Body> {
        let pool = self.pool(name, target);
        self.outside.activity.http(name, &caller, request.method(), request.uri().path());
        let answer = self.exchange(&pool, request, caller, (name, target)).await;
        match answer {
            Ok(answer) => {
                self.metrics.answered.inc();
                answer
            }
            Err(error) => self.failed(asked, name, &error),
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        mut request: Request<Incoming>,
        caller: Caller,
        (name, target): (&str, &Target),
    ) -> Result<Response<Body>, ForwardError> {
        let websocket = asked_websocket(&request);
        let path = websocket.then(|| Arc::from(request.uri().path()));
        let client = websocket.then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        let xsrf = xsrf(&caller);
        headers::to_app(
            &mut head.headers,
            &About {
                tls: caller.tls,
                peer: &caller.peer_text,
                cookie_name: &caller.cookie_name,
                xsrf: xsrf.as_deref(),
                websocket,
            },
        );
        let below = match target.prefix {
            Prefix::Keep => None,
            Prefix::Strip => Some(strip(&mut head, name, caller.tls)),
        };
        head.version = http::Version::HTTP_11;
        let (upload, uploaded) = Upload::new(body, &self.metrics.bytes_to_app);
        let request = Request::from_parts(head, upload);
        match client {
            None => {
                let request = (request, uploaded);
                let back = Back { cookie_name: &caller.cookie_name, below: below.as_ref() };
                forward::forward(pool, request, back, &self.tasks, &self.metrics).await
            }
            Some(client) => {
                let app = name.to_owned();
                let path = path.unwrap_or_default();
                let channels = target.channels.clone();
                let owner = Owner { app, caller, path, below, channels };
                tunnel::open(self, pool, request, client, owner).await
            }
        }
    }

    fn starting(&self, asked: Asked, name: &str, message: &str) -> Response<Body> {
        self.metrics.unavailable.inc();
        let shown = Shown::Starting { message };
        pages::show(asked, name, shown, &*self.outside.pages)
    }

    fn unavailable(&self, asked: Asked, name: &str, facts: &Unavailable) -> Response<Body> {
        self.metrics.unavailable.inc();
        let shown = Shown::Down(facts);
        pages::show(asked, name, shown, &*self.outside.pages)
    }

    fn unknown(&self, asked: Asked, name: &str, table: &Table) -> Response<Body> {
        let known: Vec<&str> = table.keys().map(String::as_str).collect();
        pages::show(asked, name, Shown::Unknown(&known), &*self.outside.pages)
    }

    fn failed(&self, asked: Asked, name: &str, error: &ForwardError) -> Response<Body> {
        self.metrics.failed.inc();
        if matches!(error, ForwardError::Connect(_)) {
            self.metrics.connect_errors.inc();
        }
        let reason = crate::base::chain::Chain(error).to_string();
        tracing::info!(app = name, reason, "an app did not answer");
        let facts = Unavailable {
            phase: "unreachable".to_owned(),
            message: reason,
            why: Why::Unreachable,
            action: format!("see `stationctl app logs {name}`, or restart it"),
            ..Unavailable::default()
        };
        pages::show(asked, name, Shown::Down(&facts), &*self.outside.pages)
    }

    /// The pool of an app; a new one if the app has another socket than before.
    fn pool(&self, name: &str, target: &Target) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        match pools.get(name) {
            Some(pool) if pool.socket == target.socket && pool.peer_uid == target.peer_uid => {
                Arc::clone(pool)
            }
            _ => {
                let pool = Arc::new(Pool::new(target.socket.clone(), target.peer_uid));
                pools.insert(name.to_owned(), Arc::clone(&pool));
                pool
            }
        }
    }

    /// Closes idle connections and forgets what is no longer up.
    fn sweep(&self) {
        let table = Arc::clone(&self.table.borrow());
        let is_down = |name: &String| matches!(table.get(name), Some(Entry::App(target)) if matches!(target.state, State::Down(_)));
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|name, pool| {
            pool.sweep();
            table.contains_key(name) && !is_down(name)
        });
    }

    fn waking(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.waking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn asked_websocket(request: &Request<Incoming>) -> bool {
    *request.method() == http::Method::GET && headers::asks_websocket(request.headers())
}

/// A fresh value for the pair that Jupyter compares. Without one Jupyter refuses, as it should.
fn xsrf(caller: &Caller) -> Option<String> {
    let bytes = caller.by_token.then(random::bytes::<16>)?.ok()?;
    Some(data_encoding::HEXLOWER.encode(&bytes))
}

fn strip(head: &mut http::request::Parts, name: &str, tls: bool) -> Below {
    let prefix = format!("/apps/{name}");
    if let Some(target) = head.uri.path_and_query() {
        headers::announce_prefix(&mut head.headers, &prefix, target.as_str(), tls);
        if let Some(stripped) = route::stripped(target, name) {
            head.uri = Uri::from(stripped);
        }
    }
    Below { prefix, host: head.headers.get(HOST).cloned() }
}
