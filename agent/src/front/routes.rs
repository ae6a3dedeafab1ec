//! The table of routes: pattern to policy and handler. Built once, read on every request.
//!
//! A pattern is a path; a segment `{…}` stands for any one segment and a last segment `*` for
//! any rest, none included. Nothing is decoded or normalised: the raw path is compared.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use crate::front::gate::{Policy, Via};
use crate::front::service::Presented;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
/// An answer that is being made.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Who sent a request that the gate let pass.
#[derive(Debug, Clone)]
pub struct Caller {
    pub via: Via,
    /// Nobody on an open route.
    pub user: Option<Arc<str>>,
    /// Names the session, if a session's cookie opened the gate.
    pub session: Option<Arc<str>>,
    /// Names the token, if one opened the gate, itself or by its cookie (`via`).
    pub token: Option<Arc<str>>,
    /// The client's certificate, on the control listener.
    pub certificate: Option<Arc<Presented>>,
    /// The client speaks TLS, with us or with someone in front of us.
    pub tls: bool,
    pub peer: SocketAddr,
    /// The address of `peer` as text.
    pub peer_text: HeaderValue,
    /// The name of our cookie, which no app may see.
    pub cookie_name: Arc<str>,
}

/// Answers requests that the gate let pass.
pub trait Handler: Send + Sync {
    fn handle(&self, request: Request<Incoming>, caller: Caller) -> Answer;
}

/// One line of the table.
pub struct Route {
    /// `None`: every method. `GET` stands for `HEAD` too.
    pub method: Option<Method>,
    pub pattern: String,
    pub policy: Policy,
    pub handler: Arc<dyn Handler>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("method", &self.method)
            .field("pattern", &self.pattern)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// All routes.
#[derive(Debug, Default)]
pub struct Routes {
    by_first: HashMap<String, Vec<Route>>,
}

/// What the table says about a request.
#[derive(Debug)]
pub enum Found<'a> {
    Route(&'a Route),
    /// The path is known, but not with this method; the policy is that of its first route.
    OtherMethods(Policy, Vec<&'a Method>),
    Nothing,
}

impl Routes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route. An earlier route goes before a later one.
    #[must_use]
    pub fn with(
        mut self,
        method: Option<Method>,
        pattern: &str,
        policy: Policy,
        handler: Arc<dyn Handler>,
    ) -> Self {
        let routes = self.by_first.entry(first(pattern).to_owned()).or_default();
        routes.push(Route { method, pattern: pattern.to_owned(), policy, handler });
        self
    }

    /// Every route, for tests that walk them and for documents.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.by_first.values().flatten()
    }

    pub fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let candidates = self.by_first.get(first(path)).map(Vec::as_slice);
        let mut of_path =
            candidates.unwrap_or_default().iter().filter(|route| matches(&route.pattern, path));
        let mut others: Option<(Policy, Vec<&Method>)> = None;
        of_path
            .find(|route| {
                let Some(wanted) = &route.method else {
                    return true;
                };
                let fits = wanted == method || (wanted == Method::GET && method == Method::HEAD);
                if !fits {
                    let (_, methods) = others.get_or_insert_with(|| (route.policy, Vec::new()));
                    methods.push(wanted);
                }
                fits
            })
            .map(Found::Route)
            .or_else(|| others.map(|(policy, methods)| Found::OtherMethods(policy, methods)))
            .unwrap_or(Found::Nothing)
    }
}

fn first(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or_default();
    let end = path.bytes().position(|byte| byte == b'/').unwrap_or(path.len());
    path.get(..end).unwrap_or_default()
}

fn matches<'a>(pattern: &'a str, path: &'a str) -> bool {
    let segments = |text: &'a str| text.as_bytes().split(|byte| *byte == b'/');
    let (mut wanted, mut seen) = (segments(pattern), segments(path));
    loop {
        match (wanted.next(), seen.next()) {
            (Some(b"*"), _) | (None, None) => return true,
            (Some(wanted), Some(seen)) => {
                let any = wanted.starts_with(b"{") && !seen.is_empty();
                if !any && wanted != seen {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;
    impl Handler for Never {
        fn handle(&self, _: Request<Incoming>, _: Caller) -> Answer {
            unreachable!("no request is sent")
        }
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, path: &str, expect: bool| {
            assert_eq!(matches(pattern, path), expect, "{pattern} {path}");
        };
        check("/", "/", true);
        check("/", "/a", false);
        check("/help/*", "/help", true);
        check("/help/*", "/help/", true);
        check("/help/*", "/help/a/b", true);
        check("/help/*", "/helper", false);
        check("/apps/{name}/*", "/apps/x", true);
        check("/apps/{name}/*", "/apps/x//y", true);
        check("/apps/{name}/*", "/apps/", false);
        check("/v1/apps/{name}/logs", "/v1/apps/a/logs", true);
        check("/v1/apps/{name}/logs", "/v1/apps//logs", false);
        check("/v1/apps/{name}", "/v1/apps/a/logs", false);
    }

    #[test]
    fn methods() {
        let never: Arc<dyn Handler> = Arc::new(Never);
        let routes = Routes::new()
            .with(Some(Method::GET), "/v1/apps", Policy::Session, Arc::clone(&never))
            .with(Some(Method::POST), "/v1/apps", Policy::App, Arc::clone(&never))
            .with(None, "/apps/{name}/*", Policy::App, never);
        let pattern = |method: Method, path: &str| match routes.find(&method, path) {
            Found::Route(route) => route.policy,
            other => panic!("{other:?}"),
        };
        assert_eq!(pattern(Method::HEAD, "/v1/apps"), Policy::Session);
        assert_eq!(pattern(Method::POST, "/v1/apps"), Policy::App);
        assert_eq!(pattern(Method::PATCH, "/apps/a/"), Policy::App);
        let Found::OtherMethods(policy, methods) = routes.find(&Method::PUT, "/v1/apps") else {
            panic!("a wrong method");
        };
        assert_eq!((policy, methods), (Policy::Session, vec![&Method::GET, &Method::POST]));
        assert!(matches!(routes.find(&Method::GET, "/v2"), Found::Nothing));
        assert_eq!(routes.iter().count(), 3);
    }
}
