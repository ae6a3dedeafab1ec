//! `rsession`: what runs a user's R in the real one. It outlives the server that started it.
//!
//! ```text
//! idle --console_input--> busy --time over--> idle
//! idle --SIGUSR1--> suspended, exit 0        busy --SIGUSR1--> the same, once the work is done
//! any  --SIGUSR2--> suspended, exit 101 (a forced suspension; the work is broken off)
//! any  --SIGTERM or worse--> gone, and the next one finds that it was not an orderly end
//! ```
//!
//! Its files lie below `~/.local/share/rstudio/sessions`: `suspended-session` of a suspended one,
//! `abend` from the start of one to its orderly end, and in `active/session-ID/properites` (spelt
//! so) what whoever looks for idleness reads: `executing`, `running`, `last_used`.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use stationd::os::clock;
use stationd::os::file::write_atomic;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::{
    Answer, INVALID_CLIENT, METHOD_NOT_FOUND, PARSE_ERROR, UNAUTHORIZED, call_error, cookie, field,
    run, start, text,
};

/// The status of a session that was made to suspend.
pub const FORCED: i32 = 101;
/// How long the real server keeps a poll for events.
const POLL: Duration = Duration::from_secs(50);
/// Work uses half of a processor: long enough at a time to be seen, short enough to be broken off.
const SLICE: Duration = Duration::from_millis(5);

/// What `rserver` tells a session.
#[derive(Debug, Clone)]
pub struct Started {
    pub stream: PathBuf,
    pub working_dir: String,
}

#[derive(Debug)]
struct Session {
    files: Files,
    working_dir: String,
    client: Mutex<String>,
    events: Mutex<Vec<Value>>,
    /// An event, or an end of work.
    news: Notify,
    working: AtomicUsize,
    broken_off: Arc<AtomicBool>,
    resumed: bool,
    abend: bool,
}

#[derive(Debug)]
struct Files {
    sessions: PathBuf,
    properties: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Call {
    method: Option<String>,
    #[serde(default)]
    params: Vec<Value>,
    #[serde(rename = "clientId", default)]
    client: String,
}

/// Runs until a signal; gives the status to exit with.
pub async fn serve(started: Started) -> Result<i32> {
    let mut suspend = signal(SignalKind::user_defined1())?;
    let mut force = signal(SignalKind::user_defined2())?;
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let files = Files::below(Path::new(&home))?;
    let (resumed, abend) = (files.was("suspended-session"), files.was("abend"));
    files.forget("suspended-session");
    files.mark("abend")?;
    files.note("running", "1");
    files.note("executing", "0");
    let session = Arc::new(Session {
        files,
        working_dir: started.working_dir,
        client: Mutex::default(),
        events: Mutex::default(),
        news: Notify::new(),
        working: AtomicUsize::new(0),
        broken_off: Arc::default(),
        resumed,
        abend,
    });
    // A stale one of a session that died.
    drop(fs::remove_file(&started.stream));
    let listener = UnixListener::bind(&started.stream)?;
    let accepting = accept(listener, Arc::clone(&session));
    let orderly = async {
        suspend.recv().await;
        session.idle().await;
    };
    let forced = async {
        force.recv().await;
        session.broken_off.store(true, Ordering::Release);
        tokio::time::sleep(super::time("FAKE_RSERVER_SUSPEND_MS", Duration::ZERO)).await;
    };
    // Each holds nothing that is lost when another comes first.
    let status = tokio::select! {
        () = accepting => 1,
        () = orderly => 0,
        () = forced => FORCED,
    };
    session.files.mark("suspended-session")?;
    session.files.forget("abend");
    session.files.note("running", "0");
    session.files.note("executing", "0");
    drop(fs::remove_file(&started.stream));
    Ok(status)
}

async fn accept(listener: UnixListener, session: Arc<Session>) {
    while let Ok((stream, _)) = listener.accept().await {
        let session = Arc::clone(&session);
        run(async move {
            let service = hyper::service::service_fn(move |request| {
                let session = Arc::clone(&session);
                async move { Ok::<_, Infallible>(session.answer(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            // The server going away is no event here.
            drop(connection.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

impl Files {
    fn below(home: &Path) -> Result<Self> {
        let sessions = home.join(".local/share/rstudio/sessions");
        let properties = sessions.join("active/session-00000001/properites");
        fs::create_dir_all(&properties)?;
        Ok(Self { sessions, properties })
    }

    fn was(&self, name: &str) -> bool {
        self.sessions.join(name).exists()
    }

    fn mark(&self, name: &str) -> Result<()> {
        Ok(write_atomic(&self.sessions.join(name), b"1", 0o600)?)
    }

    fn forget(&self, name: &str) {
        // It may not be there.
        drop(fs::remove_file(self.sessions.join(name)));
    }

    /// Writes a property down; like the real one, not at the price of the session.
    fn note(&self, name: &str, value: &str) {
        drop(write_atomic(&self.properties.join(name), value.as_bytes(), 0o600));
    }
}

impl Session {
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        // No cookie counts without the same value in a header: a page elsewhere cannot send that.
        if !same_token(&head.headers) {
            return call_error(UNAUTHORIZED, "Unauthorized");
        }
        let body = http_body_util::Limited::new(body, 1024 * 1024);
        #[expect(clippy::disallowed_methods, reason = "Limited is around it")]
        let Ok(body) = body.collect().await else {
            return text(StatusCode::BAD_REQUEST, "text/plain", "the body is too long or broken");
        };
        let Ok(call) = serde_json::from_slice::<Call>(&body.to_bytes()) else {
            return call_error(PARSE_ERROR, "Invalid json or unexpected structure");
        };
        let method = head.uri.path().rsplit('/').next().unwrap_or_default();
        let said = call.method.as_deref().unwrap_or(method);
        if method != said {
            return call_error(METHOD_NOT_FOUND, "the body and the path name different methods");
        }
        if method == "client_init" {
            return self.client_init();
        }
        if call.client.is_empty() || call.client != *lock(&self.client) {
            return call_error(INVALID_CLIENT, "Invalid client id");
        }
        match (head.uri.path(), method) {
            ("/events/get_events", _) => self.events().await,
            (_, "console_input") => self.console_input(call.params.first()),
            _ => call_error(METHOD_NOT_FOUND, "Method not found"),
        }
    }

    /// Whoever comes last has the session; the client before learns it at its next call.
    fn client_init(&self) -> Answer {
        let Ok(client) = start::token() else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "no random bytes");
        };
        lock(&self.client).clone_from(&client);
        lock(&self.events).clear();
        self.touch();
        super::json(&json!({ "result": {
            "clientId": client,
            "working_dir": self.working_dir,
            "resumed": self.resumed,
            "had_abend": self.abend,
        } }))
    }

    /// Works for the time in its first parameter, in milliseconds.
    fn console_input(self: &Arc<Self>, time: Option<&Value>) -> Answer {
        let time = match time {
            Some(Value::String(text)) => text.trim().parse().ok(),
            other => other.and_then(Value::as_u64),
        };
        let session = Arc::clone(self);
        self.touch();
        self.working.fetch_add(1, Ordering::AcqRel);
        self.files.note("executing", "1");
        self.tell("busy", &json!({ "value": true }));
        let done = tokio::sync::oneshot::channel();
        let (time, off) = (Duration::from_millis(time.unwrap_or(0)), Arc::clone(&self.broken_off));
        std::thread::spawn(move || {
            work(time, &off);
            // Whoever waited may be gone.
            done.0.send(()).unwrap_or_default();
        });
        run(async move {
            // The thread sends, or is gone with what it would have sent.
            drop(done.1.await);
            if session.working.fetch_sub(1, Ordering::AcqRel) == 1 {
                session.files.note("executing", "0");
                session.tell("busy", &json!({ "value": false }));
            }
            session.touch();
        });
        super::json(&json!({ "result": null }))
    }

    async fn events(&self) -> Answer {
        let end = tokio::time::sleep(super::time("FAKE_RSERVER_POLL_MS", POLL));
        tokio::pin!(end);
        loop {
            let news = self.news.notified();
            let events = std::mem::take(&mut *lock(&self.events));
            if !events.is_empty() {
                return super::json(&json!({ "result": events }));
            }
            tokio::select! {
                () = news => {}
                () = &mut end => return super::json(&json!({ "result": [] })),
            }
        }
    }

    fn tell(&self, kind: &str, data: &Value) {
        lock(&self.events).push(json!({ "type": kind, "data": data }));
        self.news.notify_waiters();
        self.news.notify_one();
    }

    /// Ends when nothing is at work.
    async fn idle(&self) {
        while self.working.load(Ordering::Acquire) > 0 {
            // A look now and then: whoever polls for events takes the news.
            tokio::time::sleep(SLICE).await;
        }
    }

    fn touch(&self) {
        let now = clock::now().wall.as_millisecond();
        self.files.note("last_used", &now.to_string());
    }
}

/// The token's cookie and header agree; the older names count too.
fn same_token(headers: &HeaderMap) -> bool {
    let first = |new: &'static str, old: &'static str, get: fn(&HeaderMap, &str) -> String| {
        let value = get(headers, new);
        if value.is_empty() { get(headers, old) } else { value }
    };
    let header = first("x-rs-csrf-token", "x-csrf-token", |all, name| field(all, name).to_owned());
    let cookie = first("rs-csrf-token", "csrf-token", |all, name| {
        cookie(all, name).unwrap_or_default().to_owned()
    });
    !header.is_empty() && header == cookie
}

/// Keeps a processor half busy.
fn work(time: Duration, broken_off: &AtomicBool) {
    let end = clock::since_boot() + time;
    while clock::since_boot() < end && !broken_off.load(Ordering::Acquire) {
        let slice = clock::since_boot() + SLICE;
        while clock::since_boot() < slice {
            std::hint::spin_loop();
        }
        crate::process::pause(SLICE);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the last session was suspended, and whether the last one ended in disorder.
pub fn traces(home: &Path) -> (bool, bool) {
    let sessions = home.join(".local/share/rstudio/sessions");
    (sessions.join("suspended-session").exists(), sessions.join("abend").exists())
}
