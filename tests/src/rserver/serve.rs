//! The server of `rserver`: pages, redirects, cookies, and calls handed on to the session.
//!
//! A request with no session behind it starts one, as the real server does; it waits for it as long
//! as the real one. The proxy in front has to take the prefix off: a path that still has it is
//! nobody's. The open-source server shows its page at `/` itself; the way there over `/s/SESSION/`
//! is taken here because redirects are what goes wrong behind a proxy. SIGTERM keeps its default
//! action: like the real one, the server dies of it, and the session lives on.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use stationd::os::clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Mutex;

use super::address::{is_secure, location, root_path};
use super::start::{self, Listen, Settings};
use super::{Answer, UNAUTHORIZED, call_error, cookie, field, run, text};

const SESSION: &str = "/s/00000001/";
const SIGN_IN: &str = "/auth-sign-in";
const UNSUPPORTED: &str = "/unsupported_browser.htm";
/// How long a request waits for its session (`rsession-proxy-max-wait-secs`).
const SESSION_WAIT: Duration = Duration::from_secs(10);
const BODY_MAX: usize = 16 * 1024 * 1024;
/// What a session gets of the server's environment, besides what is named after RStudio and R.
const PASSED_ON: [&str; 9] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "LANG",
    "SHELL",
    "LD_LIBRARY_PATH",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
];

#[derive(Debug)]
struct Server {
    settings: Settings,
    /// Held while a session is started, one at a time; set while one runs.
    starting: Mutex<Arc<AtomicBool>>,
    ready_at: Duration,
}

/// Listens and answers until a signal ends the process.
pub async fn serve(settings: Settings) -> Result<Infallible> {
    let slow = super::time("FAKE_RSERVER_SLOW_MS", Duration::ZERO);
    let listen = settings.listen.clone();
    let ready_at = clock::since_boot() + slow;
    let server = Arc::new(Server { settings, starting: Mutex::default(), ready_at });
    match listen {
        Listen::Socket(path) => {
            if path.exists() {
                std::fs::remove_file(&path)?;
            }
            let listener = UnixListener::bind(&path)
                .with_context(|| format!("--www-socket: cannot listen on {}", path.display()))?;
            start::close_socket(&path)?;
            loop {
                let (stream, _) = listener.accept().await?;
                run(connection(stream, Arc::clone(&server)));
            }
        }
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("--www-port: cannot listen on {address}"))?;
            loop {
                let (stream, _) = listener.accept().await?;
                run(connection(stream, Arc::clone(&server)));
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    server: Arc<Server>,
) {
    let service = hyper::service::service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    // The other side going away is no event here.
    drop(connection.serve_connection(TokioIo::new(stream), service).await);
}

impl Server {
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        if clock::since_boot() < self.ready_at {
            return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not up yet");
        }
        let headers = request.headers().clone();
        let uri = request.uri().to_string();
        let path = request.uri().path().to_owned();
        let root = root_path(&headers, &self.settings.root_path);
        let not_stripped = root != "/"
            && path
                .strip_prefix(&root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if not_stripped || !uri.starts_with('/') {
            return text(StatusCode::NOT_FOUND, "text/html", format!("{path} not found"));
        }
        if !self.origin_is_good(&headers, &uri) {
            return text(StatusCode::BAD_REQUEST, "text/plain", "a foreign origin");
        }
        let known = self.settings.auth_none || cookie(&headers, "user-id").is_some_and(signed_in);
        match (request.method(), path.as_str()) {
            (&Method::GET, "/") => self.main_page(&headers, &uri, known),
            (&Method::GET, SESSION) if known => self.workbench(&headers).await,
            (&Method::GET, SESSION) => self.redirect(&headers, &uri, &sign_in(&uri)),
            (&Method::GET, SIGN_IN) if known => self.redirect(&headers, &uri, "/"),
            (&Method::GET, SIGN_IN) => self.sign_in_page(&headers, &uri),
            (&Method::GET, UNSUPPORTED) => {
                text(StatusCode::OK, "text/html", "<p>This browser is not supported")
            }
            (&Method::POST, call) if call.starts_with("/rpc/") || call.starts_with("/events/") => {
                if known {
                    self.hand_on(request).await
                } else {
                    call_error(UNAUTHORIZED, "Unauthorized")
                }
            }
            _ => text(StatusCode::NOT_FOUND, "text/html", format!("{path} not found")),
        }
    }

    fn main_page(&self, headers: &HeaderMap, uri: &str, known: bool) -> Answer {
        if self.settings.verify_agent && !field(headers, "user-agent").contains("Mozilla/") {
            return self.redirect(headers, uri, UNSUPPORTED);
        }
        if !known {
            return self.redirect(headers, uri, &sign_in(uri));
        }
        let mut answer = self.redirect(headers, uri, SESSION);
        let token = cookie(headers, "rs-csrf-token").map(str::to_owned);
        let Some(token) = token.or_else(|| start::token().ok()) else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "no random bytes");
        };
        let user = format!("{}|signed", self.settings.user);
        for (name, value) in
            [("user-id", user.as_str()), ("persist-auth", "0"), ("rs-csrf-token", &token)]
        {
            self.set_cookie(&mut answer, (headers, uri), (name, value));
        }
        answer
    }

    fn sign_in_page(&self, headers: &HeaderMap, uri: &str) -> Answer {
        let mut answer = text(StatusCode::OK, "text/html", "<title>Sign In</title><form>");
        let token = start::token().unwrap_or_default();
        self.set_cookie(&mut answer, (headers, uri), ("rs-csrf-token", &token));
        answer
    }

    async fn workbench(self: &Arc<Self>, headers: &HeaderMap) -> Answer {
        if let Err(error) = self.session().await {
            return no_session(&error);
        }
        let token: String = cookie(headers, "rs-csrf-token").unwrap_or_default().into();
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let token: String = token.chars().filter(plain).collect();
        let page = format!(
            "<!DOCTYPE html><title>RStudio Server</title>\
             <meta name=\"csrf-token\" content=\"{token}\"><p>{}",
            self.settings.working_dir
        );
        let mut answer = text(StatusCode::OK, "text/html", page);
        if let (Ok(frame), false) =
            (HeaderValue::from_str(self.settings.frame), self.settings.frame.is_empty())
        {
            answer.headers_mut().insert("x-frame-options", frame);
        }
        answer
    }

    fn redirect(&self, headers: &HeaderMap, uri: &str, to: &str) -> Answer {
        let to = location(headers, &self.settings.root_path, uri, to);
        let mut answer = text(StatusCode::FOUND, "text/html", to.clone());
        if let Ok(to) = HeaderValue::from_str(&to) {
            answer.headers_mut().insert("location", to);
        }
        answer
    }

    fn set_cookie(
        &self,
        answer: &mut Answer,
        (headers, uri): (&HeaderMap, &str),
        (name, value): (&str, &str),
    ) {
        let root = &self.settings.root_path;
        let path = root_path(headers, root);
        let secure = if is_secure(headers, root, uri) { "; secure" } else { "" };
        let site = self.settings.same_site.map(|site| format!("; SameSite={site}"));
        let site = site.unwrap_or_default();
        let cookie = format!("{name}={value}; path={path}; HttpOnly{secure}{site}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().append("set-cookie", cookie);
        }
    }

    /// With `--www-enable-origin-check`, a request that says where it comes from has to come from
    /// here or from an origin of the list.
    fn origin_is_good(&self, headers: &HeaderMap, uri: &str) -> bool {
        let said = match field(headers, "origin") {
            "" => field(headers, "referer"),
            origin => origin,
        };
        let Some(allowed) = &self.settings.origins else {
            return true;
        };
        let own = super::address::seen(headers, &self.settings.root_path, uri);
        said.is_empty()
            || host_of(said) == host_of(&own)
            || allowed.iter().any(|origin| origin == said || Some(origin.as_str()) == host_of(said))
    }

    /// A connection to the session, which is started if there is none.
    async fn session(self: &Arc<Self>) -> Result<UnixStream> {
        let stream = super::stream(&self.settings.data_dir, &self.settings.user);
        let mut starting = self.starting.lock().await;
        if let Ok(connected) = UnixStream::connect(&stream).await {
            return Ok(connected);
        }
        // A session that suspends keeps its name until it is gone; then the next one begins.
        let give_up = clock::since_boot() + SESSION_WAIT;
        loop {
            if !starting.load(Ordering::Acquire) {
                *starting = self.start_session(&stream)?;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            match UnixStream::connect(&stream).await {
                Ok(connected) => return Ok(connected),
                Err(error) if clock::since_boot() >= give_up => {
                    return Err(error).context("the session does not answer");
                }
                Err(_) => {}
            }
        }
    }

    fn start_session(&self, stream: &Path) -> Result<Arc<AtomicBool>> {
        let settings = &self.settings;
        let mut command = crate::process::command(&settings.rsession);
        command.env_clear();
        let named = |name: &str| {
            PASSED_ON.contains(&name)
                || ["RSTUDIO_", "RS_", "R_", "FAKE_"].iter().any(|start| name.starts_with(start))
        };
        let passed = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(named));
        command.envs(passed);
        command.args(["-u", &settings.user, "--session-root-path", &settings.root_path]);
        command.args(["--session-default-working-dir", &settings.working_dir]);
        command.arg("--stream").arg(stream);
        // A group of its own: its life is not tied to the server's.
        command.process_group(0).stdin(Stdio::null());
        let started = command.spawn();
        let mut child =
            started.with_context(|| format!("cannot start {}", settings.rsession.display()))?;
        let runs = Arc::new(AtomicBool::new(true));
        let ended = Arc::clone(&runs);
        run(async move {
            // However it ended, it does not run.
            drop(child.wait().await);
            ended.store(false, Ordering::Release);
        });
        Ok(runs)
    }

    async fn hand_on(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        match self.exchange(request).await {
            Ok(answer) => answer,
            Err(error) => no_session(&error),
        }
    }

    async fn exchange(self: &Arc<Self>, request: Request<Incoming>) -> Result<Answer> {
        let (head, body) = request.into_parts();
        #[expect(clippy::disallowed_methods, reason = "Limited is around it")]
        let body = Limited::new(body, BODY_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        let stream = TokioIo::new(self.session().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        run(async move { drop(connection.await) });
        let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
        let (head, body) = answer.into_parts();
        #[expect(clippy::disallowed_methods, reason = "Limited is around it")]
        let body = Limited::new(body, BODY_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}

fn sign_in(uri: &str) -> String {
    format!("{SIGN_IN}?appUri={}", uri.replace('/', "%2F"))
}

/// The stand-in's cookie of a user; nobody gets one without `--auth-none`.
fn signed_in(value: &str) -> bool {
    value.ends_with("|signed")
}

fn host_of(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}

fn no_session(error: &anyhow::Error) -> Answer {
    super::say(&format!("no session: {error:#}"));
    text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "there is no session")
}
