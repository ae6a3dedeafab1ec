//! The stand-in for RStudio Server, where the real one cannot be had: strict where the real one is
//! strict, so that a mistake in how it is started or reached shows in a test.
//!
//! `rserver` ([`flags`], [`start`], [`serve`]) takes the real program's options and refuses all
//! others; it starts `rsession` ([`session`]) at the first request that needs one, and hands `/rpc`
//! and `/events` on to it over a Unix socket. What a test can set, as environment variables:
//!
//! | variable | |
//! | --- | --- |
//! | `FAKE_RSERVER_VAR` | the folder in place of `/var/lib/rstudio-server` |
//! | `FAKE_RSERVER_SLOW_MS` | how long after its start every request is answered with 503 |
//! | `FAKE_RSERVER_POLL_MS` | how long a poll for events waits (50 s) |
//! | `FAKE_RSERVER_SUSPEND_MS` | how long a forced suspension takes |
//!
//! It is not RStudio: no R, no files, no plots, no sign-in; one session for one user. It never
//! changes its user, and it listens on nothing but a Unix socket or a loopback address. The real
//! program writes most faults of its start to its log only; this one prints them, but for the one
//! that people fall over ([`start`]).

pub mod address;
pub mod flags;
pub mod serve;
pub mod session;
pub mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;

/// What both programs answer with.
pub type Answer = Response<Full<Bytes>>;

/// A time from an environment variable in milliseconds.
fn time(name: &str, default: Duration) -> Duration {
    let ms = std::env::var(name).ok().and_then(|ms| ms.parse().ok());
    ms.map_or(default, Duration::from_millis)
}

/// Where `rserver` finds the session of a user.
fn stream(data_dir: &Path, user: &str) -> PathBuf {
    data_dir.join("rstudio-rsession").join(format!("{user}-d"))
}

fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
    answer
}

fn json(value: &serde_json::Value) -> Answer {
    text(StatusCode::OK, "application/json", value.to_string())
}

/// Codes of errors in answers to calls; their HTTP status is 200.
const UNAUTHORIZED: i32 = 3;
const INVALID_CLIENT: i32 = 4;
const PARSE_ERROR: i32 = 5;
const METHOD_NOT_FOUND: i32 = 7;

fn call_error(code: i32, message: &str) -> Answer {
    json(&serde_json::json!({ "error": { "code": code, "message": message } }))
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers.get_all("cookie").iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|one| one.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "an app logs there")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "ends with the process; nothing waits for it")]
fn run(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}
