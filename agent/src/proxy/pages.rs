//! Answers that do not come from an app: redirects, and why an app cannot be used now.
//!
//! A browser that opens a page gets a page; scripts and websockets get a problem document. Both
//! carry `X-App-State`.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use station_proto::problem::Problem;

use crate::proxy::{Body, Caller, Pages, Unavailable, headers};

const APP_STATE: HeaderName = HeaderName::from_static("x-app-state");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What kind of answer the client can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// A browser opens a page.
    pub(super) page: bool,
    /// The method changes nothing.
    safe: bool,
}

impl Asked {
    pub(super) fn of(request: &Request<Incoming>) -> Self {
        let fields = request.headers();
        let safe = matches!(*request.method(), Method::GET | Method::HEAD);
        let text = |name: &HeaderName| fields.get(name).and_then(|value| value.to_str().ok());
        let accepts = || text(&ACCEPT).is_some_and(|kinds| kinds.contains("text/html"));
        let navigates = || text(&FETCH_MODE).map_or_else(accepts, |mode| mode == "navigate");
        Self { page: safe && navigates() && !headers::asks_websocket(fields), safe }
    }
}

impl Asked {
    /// A person or a script wants the app, and not a page that was left open.
    pub(super) fn by_somebody(self, caller: &Caller) -> bool {
        self.page || !self.safe || caller.by_token
    }
}

/// What is to be shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum State<'a> {
    Starting { message: &'a str },
    Down(&'a Unavailable),
    Unknown(&'a [&'a str]),
}

/// Shows why there is no app behind this request.
pub(super) fn show(asked: Asked, app: &str, state: State<'_>, pages: &dyn Pages) -> Response<Body> {
    let (status, word) = match state {
        State::Starting { .. } => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        State::Down(facts) => (StatusCode::SERVICE_UNAVAILABLE, facts.phase.as_str()),
        State::Unknown(_) => (StatusCode::NOT_FOUND, "unknown"),
    };
    let mut answer = match state {
        State::Starting { message } if asked.page => pages.starting(app, message),
        State::Down(facts) if asked.page => pages.unavailable(app, facts),
        State::Unknown(known) if asked.page => pages.unknown(app, known),
        _ => problem(status, app, state),
    };
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    if let Ok(word) = HeaderValue::from_str(word) {
        fields.insert(APP_STATE, word);
    }
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    answer
}

fn problem(status: StatusCode, app: &str, state: State<'_>) -> Response<Body> {
    let (kind, detail) = match state {
        State::Starting { message } => ("app-starting", format!("{app} is starting: {message}")),
        State::Down(facts) => {
            let end = facts.last_end.as_deref().unwrap_or_default();
            let parts = [facts.message.as_str(), end, facts.action.as_str()];
            let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            ("app-unavailable", format!("{app}: {}", said.join("; ")))
        }
        State::Unknown(known) => {
            let known = known.join(", ");
            ("app-not-found", format!("there is no app {app:?}; there are: {known}"))
        }
    };
    let document = Problem {
        kind: format!("about:stationd/{kind}"),
        title: status.canonical_reason().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        message: detail.clone(),
        detail,
    };
    let bytes = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let mut answer = Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    let kind = HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// Sends the client to `to`; a method that changes something is kept.
pub(super) fn redirect(asked: Asked, to: &str) -> Response<Body> {
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(empty);
    *answer.status_mut() =
        if asked.safe { StatusCode::FOUND } else { StatusCode::PERMANENT_REDIRECT };
    if let Ok(to) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}

/// Where a path below a redirected name goes.
pub(super) fn redirected(uri: &Uri, (root, below): (&str, &str), rest: &str) -> String {
    let place = match rest {
        "" | "/" => root.to_owned(),
        rest => format!("{below}{rest}"),
    };
    match uri.query() {
        Some(query) => format!("{place}?{query}"),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_keeps_what_is_below_it() {
        let check = |uri: &'static str, rest: &str, expect: &str| {
            let to = ("/apps/jupyterlab/tree", "/apps/jupyterlab");
            assert_eq!(redirected(&Uri::from_static(uri), to, rest), expect);
        };
        check("/apps/jupyter/", "/", "/apps/jupyterlab/tree");
        check("/apps/jupyter/?a=b", "/", "/apps/jupyterlab/tree?a=b");
        check("/apps/jupyter/tree/x", "/tree/x", "/apps/jupyterlab/tree/x");
    }
}
