//! The public listener: TCP or TLS, HTTP/1.1, and the gate that every request passes.
//!
//! ```text
//! accept -> [TLS handshake] -> hyper --request--> bytes clean? -> route -> gate -> handler
//!   ^ slot     limit 5 s         ^                    | 400       | 404    | 401 403 421
//!   '- limits::CONNECTIONS       '- wire: reads along and judges heads
//! ```
//!
//! Invariants: no request reaches a handler without a verdict of [`gate::decide`] under the policy
//! that its route was registered with; http and websocket pass the same gate; nothing that one
//! connection does ends the accept loop. Limits: TLS handshake, request head, idle connection,
//! stalled body, stalled receiver, head size, number of fields, number of connections. There is no
//! limit on the size or the length of an exchange.
//!
//! The control listener is the same with other rights: TLS on both sides, a gate of its own
//! ([`gate::control`]), and routes of the API alone.
//!
//! Not here: what the credentials are worth (the caller of [`spawn`] supplies [`Credentials`]), and
//! how refusals look to a person ([`Pages`]).

pub mod gate;
mod lanes;
mod listener;
pub mod routes;
mod service;
mod task;
pub mod tls;
mod turned_away;
pub mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::base::limits;
use crate::base::tasks::Tasks;
use gate::Names;
use routes::{Body, Routes};
pub use service::Presented;
use service::Shared;
use tls::Tls;
pub use turned_away::TurnAway;
use wire::patience;

/// A session that a cookie stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names the session; never the secret of the cookie.
    pub id: Arc<str>,
    pub user: Arc<str>,
    /// It belongs to the user whom the station is assigned to.
    pub assigned: bool,
}

/// A token, or what stands for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Names the token; never its secret.
    pub id: Arc<str>,
    pub user: Arc<str>,
    /// It allows what was asked for.
    pub may: bool,
}

/// What a token is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub action: &'static str,
    /// The app, where it is about one; empty if the path names none.
    pub app: Option<&'a str>,
}

/// What credentials are worth. Called on every request: answer from memory, never block.
pub trait Credentials: Send + Sync {
    /// The living session of this cookie value. Asking is no use of it.
    fn session(&self, cookie: &str) -> Option<Session>;
    /// The gate let a request of this session pass.
    fn used(&self, session: &Session);
    /// The living token of this bearer, and whether it allows what is wanted.
    fn bearer(&self, token: &str, wanted: Wanted<'_>) -> Option<Token>;
    /// The living token that this value of an app's cookie stands for.
    fn app_cookie(&self, value: &str, wanted: Wanted<'_>) -> Option<Token>;
    /// The gate let a request of this token pass.
    fn used_token(&self, token: &Token);
    /// The `Set-Cookie` with which a browser goes on at `app` instead of with this token.
    fn exchanged(&self, token: &str, app: &str) -> Option<HeaderValue>;
}

/// Why a person's browser does not get what it asked for.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    pub status: StatusCode,
    /// A stable word such as `not-signed-in`.
    pub word: &'static str,
    /// What happened and what to do; names commands in backquotes.
    pub advice: &'a str,
    /// The path and query that was asked for, to come back to.
    pub wanted: &'a str,
    /// The host that was asked for, as it was written.
    pub host: &'a str,
}

/// Shows refusals to people. Everyone else gets a problem document.
pub trait Pages: Send + Sync {
    /// The status is set by the caller.
    fn refused(&self, refused: &Refused<'_>) -> Response<Body>;
}

/// What the front asks of others.
#[derive(Clone)]
pub struct Outside {
    pub credentials: Arc<dyn Credentials>,
    pub pages: Arc<dyn Pages>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// Settings of the listener.
#[derive(Debug, Clone)]
pub struct Config {
    /// They may change while it runs.
    pub names: watch::Receiver<Arc<Names>>,
    /// `__Host-stationd-INST8` under TLS, `stationd-INST8` without.
    pub cookie_name: Arc<str>,
    /// The cookie that stands for a token: `__Secure-stationd-INST8-app`, `stationd-INST8-app`.
    pub app_cookie_name: Arc<str>,
    pub tls: Option<Tls>,
    /// It is the control listener: the names of which a client's certificate must have one. `tls` asks
    /// for certificates then.
    pub control: Option<watch::Receiver<Arc<Vec<String>>>>,
    pub connections: usize,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub stall_timeout: Duration,
}

impl Config {
    /// The settings of a listener without TLS, with the limits of `base::limits`.
    pub fn new(
        names: watch::Receiver<Arc<Names>>,
        cookie_name: &str,
        app_cookie_name: &str,
    ) -> Self {
        Self {
            names,
            cookie_name: cookie_name.into(),
            app_cookie_name: app_cookie_name.into(),
            tls: None,
            control: None,
            connections: limits::CONNECTIONS,
            head_timeout: limits::HEAD_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            stall_timeout: limits::STALL_TIMEOUT,
        }
    }

    fn patience(&self) -> (Duration, patience::Limits) {
        task::in_ticks(self.head_timeout, self.idle_timeout, self.stall_timeout)
    }
}

/// Serves `listener` until the daemon stops; then requests in flight get `limits::DRAIN`.
pub fn spawn(
    tasks: &Tasks,
    listener: TcpListener,
    config: Config,
    routes: Routes,
    outside: Outside,
) {
    let shared = Arc::new(Shared { config, routes, outside });
    let name = if shared.config.control.is_some() { "control" } else { "front" };
    tasks.part(name, task::accept(listener, shared, tasks.clone(), name));
}

/// Turns everybody away who connects to `listener`, until the daemon stops.
pub fn turn_away(tasks: &Tasks, listener: TcpListener, what: TurnAway) {
    tasks.part("front-closed", turned_away::accept(listener, what, tasks.clone()));
}
