//! One request: refused by its bytes or by the gate, or handed to its route.
//!
//! Written as a future of its own, without boxes, because every request passes here.

mod control;
mod exchange;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderName, ORIGIN,
    STRICT_TRANSPORT_SECURITY, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use station_proto::problem::Problem;
use tracing::{Span, debug, debug_span};

use crate::base::text::redact;
use crate::front::gate::credential::{self, Found as FoundCookie, FromQuery};
use crate::front::gate::{self, AppCookie, Bearer, Cookie, Facts, Policy, Refusal, Via};
use crate::front::routes::{Answer, Body, Caller, Found, Routes};
use crate::front::wire::framing::Fault;
use crate::front::wire::{Answering, Watch};
use crate::front::{Config, Outside, Refused, Session, Token, Wanted};

pub use control::Presented;

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) routes: Routes,
    pub(super) outside: Outside,
}

/// The service of one connection.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) shared: Arc<Shared>,
    pub(super) watch: Arc<Watch>,
    pub(super) peer: SocketAddr,
    pub(super) peer_text: HeaderValue,
    /// On the control listener.
    pub(super) certificate: Option<Arc<Presented>>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Guarded>;
    type Error = Infallible;
    type Future = Serving;

    fn call(&self, request: Request<Incoming>) -> Serving {
        let answering = self.watch.answering();
        let span = debug_span!("request", id = self.watch.seen().heads);
        if tracing::enabled!(tracing::Level::DEBUG) {
            let path = redact::secrets(request.uri().path());
            span.in_scope(|| debug!(method = %request.method(), path, "request"));
        }
        let step = self.judge(request);
        Serving {
            step,
            answering: Some(answering),
            watch: Arc::clone(&self.watch),
            strict: self.shared.config.tls.as_ref().is_some_and(super::tls::Tls::strict),
            span,
        }
    }
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

impl Service {
    fn judge(&self, mut request: Request<Incoming>) -> Step {
        // Before anything else: nobody behind this line sees a token in an address.
        let in_query = exchange::take_token(request.uri_mut());
        if let Some(fault) = self.watch.fault() {
            let mut answer = self.faulty(fault, &request);
            answer.headers_mut().insert(CONNECTION, CLOSE);
            return Step::Ready(Some(answer));
        }
        if let Some(certificate) = &self.certificate {
            return self.judge_control(request, certificate, &in_query);
        }
        let found = self.shared.routes.find(request.method(), request.uri().path());
        let policy = match &found {
            Found::Route(route) => route.policy,
            Found::OtherMethods(policy, _) => *policy,
            Found::Nothing => Policy::Session,
        };
        let caller = match self.admit(policy, &request, &in_query) {
            Ok(caller) => caller,
            Err(refusal) => return Step::Ready(Some(self.refuse(refusal, &request))),
        };
        if in_query != FromQuery::None && policy == Policy::App && opens_page(&request) {
            return Step::Ready(Some(self.without_token(&request, &caller, &in_query)));
        }
        if asks_websocket(request.headers()) {
            // For whoever relays it: see the type.
            request.extensions_mut().insert(Arc::clone(&self.watch.hold));
        }
        match found {
            Found::Route(route) => Step::Handler(route.handler.handle(request, caller)),
            Found::OtherMethods(_, methods) => Step::Ready(Some(other_method(&methods))),
            Found::Nothing => {
                let advice = "there is nothing at this path: see `/` and `/help`";
                let status = StatusCode::NOT_FOUND;
                Step::Ready(Some(self.page(status, "not-found", advice, &request)))
            }
        }
    }

    fn admit(
        &self,
        policy: Policy,
        request: &Request<Incoming>,
        in_query: &FromQuery,
    ) -> Result<Caller, Refusal> {
        let (config, headers) = (&self.shared.config, request.headers());
        let (cookie, session) = self.session(policy, headers);
        let asks_token = !matches!(
            (cookie, policy),
            (Cookie::Known { .. }, Policy::Session | Policy::App)
                | (Cookie::Known { .. }, Policy::Api { session_may: true, .. })
        );
        let of_path = || credential::app(request.uri().path()).unwrap_or_default();
        let app = (policy == Policy::App).then(of_path);
        let wanted = policy.action().filter(|_| asks_token).map(|action| Wanted { action, app });
        let (bearer, token) = wanted.map_or((Bearer::Absent, None), |wanted| {
            self.token(credential::presented(headers, in_query), wanted)
        });
        let (app_cookie, stands_for) = match wanted {
            Some(wanted) if app.is_some() => self.app_cookie(headers, wanted),
            _ => (AppCookie::Absent, None),
        };
        let facts = Facts {
            method: request.method(),
            upgrade: asks_websocket(headers),
            tls: config.tls.is_some(),
            host: text(headers, &HOST).unwrap_or_default(),
            origin: text(headers, &ORIGIN),
            fetch_site: text(headers, &FETCH_SITE),
            fetch_mode: text(headers, &FETCH_MODE),
            fetch_dest: text(headers, &FETCH_DEST),
            cookie,
            bearer,
            app_cookie,
        };
        let names = config.names.borrow();
        let via = gate::decide(policy, &facts, &names)?;
        let tls = gate::is_https(&facts, &names);
        drop(names);
        let session = session.filter(|_| via == Via::Cookie);
        if let Some(session) = &session {
            // Only now: what other sites send must not keep a session alive.
            self.shared.outside.credentials.used(session);
        }
        let token = match via {
            Via::Bearer => token,
            Via::AppCookie => stands_for,
            Via::Nobody | Via::Cookie | Via::Certificate => None,
        };
        if let Some(token) = &token {
            self.shared.outside.credentials.used_token(token);
        }
        let user = session.as_ref().map(|session| &session.user);
        let user = user.or(token.as_ref().map(|token| &token.user)).cloned();
        Ok(Caller {
            via,
            user,
            session: session.map(|session| session.id),
            token: token.map(|token| token.id),
            certificate: None,
            tls,
            peer: self.peer,
            peer_text: self.peer_text.clone(),
            cookie_name: Arc::clone(&config.cookie_name),
        })
    }

    fn session(&self, policy: Policy, headers: &HeaderMap) -> (Cookie, Option<Session>) {
        if matches!(policy, Policy::Open | Policy::Visit) {
            return (Cookie::Absent, None);
        }
        match credential::cookie(headers, &self.shared.config.cookie_name) {
            FoundCookie::None => (Cookie::Absent, None),
            FoundCookie::Twice => (Cookie::Twice, None),
            FoundCookie::One(value) => match self.shared.outside.credentials.session(value) {
                None => (Cookie::Unknown, None),
                Some(session) => {
                    let assigned = session.assigned;
                    (Cookie::Known { assigned }, Some(session))
                }
            },
        }
    }

    fn token(&self, presented: Option<&str>, wanted: Wanted<'_>) -> (Bearer, Option<Token>) {
        let Some(presented) = presented else {
            return (Bearer::Absent, None);
        };
        match self.shared.outside.credentials.bearer(presented, wanted) {
            None => (Bearer::Unknown, None),
            Some(token) => (Bearer::Known { may: token.may }, Some(token)),
        }
    }

    fn app_cookie(&self, headers: &HeaderMap, wanted: Wanted<'_>) -> (AppCookie, Option<Token>) {
        match credential::cookie(headers, &self.shared.config.app_cookie_name) {
            FoundCookie::None => (AppCookie::Absent, None),
            FoundCookie::Twice => (AppCookie::Twice, None),
            FoundCookie::One(value) => {
                match self.shared.outside.credentials.app_cookie(value, wanted) {
                    None => (AppCookie::Unknown, None),
                    Some(token) => (AppCookie::Known { may: token.may }, Some(token)),
                }
            }
        }
    }

    /// Sends a browser to the same page without the token, which would stay in its history; it goes
    /// on with a cookie. Who has a session needs none.
    fn without_token(
        &self,
        request: &Request<Incoming>,
        caller: &Caller,
        in_query: &FromQuery,
    ) -> Response<Body> {
        let token = match in_query {
            FromQuery::One(token) if caller.via == Via::Bearer => Some(token),
            _ => None,
        };
        let cookie = token.zip(credential::app(request.uri().path()));
        let cookie =
            cookie.and_then(|(token, app)| self.shared.outside.credentials.exchanged(token, app));
        exchange::redirect(request.uri(), cookie)
    }

    fn refuse(&self, refusal: Refusal, request: &Request<Incoming>) -> Response<Body> {
        let word = refusal.word();
        debug!(refusal = word, peer = %self.peer, "refused");
        let mut answer = self.page(refusal.status(), word, refusal.advice(), request);
        if refusal.status() == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"stationd\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }

    fn faulty(&self, fault: Fault, request: &Request<Incoming>) -> Response<Body> {
        if fault == Fault::HeadTooLarge {
            // Apps on all ports of this host heap their cookies up in one pile.
            let advice = "the browser sent too many or too large cookies: delete the cookies of \
                          this site, then run `stationctl login` and open the link it prints";
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return self.page(status, "head-too-large", advice, request);
        }
        problem(StatusCode::BAD_REQUEST, "bad-request", &fault.to_string())
    }

    fn page(
        &self,
        status: StatusCode,
        word: &'static str,
        advice: &str,
        request: &Request<Incoming>,
    ) -> Response<Body> {
        if !is_navigation(request.method(), request.headers()) {
            return problem(status, word, advice);
        }
        let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let host = text(request.headers(), &HOST).unwrap_or_default();
        let refused = Refused { status, word, advice, wanted, host };
        let mut answer = self.shared.outside.pages.refused(&refused);
        *answer.status_mut() = status;
        answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        answer
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

fn other_method(methods: &[&Method]) -> Response<Body> {
    let allowed: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    let allowed = allowed.join(", ");
    let advice = format!("this path takes {allowed}");
    let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", &advice);
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}

/// A problem document, for everyone but a browser that opens a page.
fn problem(status: StatusCode, word: &str, detail: &str) -> Response<Body> {
    let document = Problem {
        kind: format!("about:stationd/{word}"),
        title: status.canonical_reason().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        detail: detail.to_owned(),
        // JupyterLab shows it in its dialogs.
        message: detail.to_owned(),
    };
    let bytes = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let mut answer = Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// The one value of a field; a repeated or unreadable one is present but matches nothing.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    let only = values.next().is_none();
    Some(value.to_str().ok().filter(|_| only).unwrap_or_default())
}

/// Whether the request asks for a websocket, even in a way that will not get one.
fn asks_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| {
        let tokens = value.as_bytes().split(|byte| *byte == b',');
        tokens.into_iter().any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    })
}

/// Whether a browser wants to show the answer as a page.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) || asks_websocket(headers) {
        return false;
    }
    match text(headers, &FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => text(headers, &ACCEPT).is_some_and(|accept| accept.contains("text/html")),
    }
}

/// Whether the answer will be the whole page of a tab.
fn opens_page(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    *request.method() == Method::GET
        && is_navigation(request.method(), headers)
        && text(headers, &FETCH_DEST).is_none_or(|dest| dest == "document")
}

enum Step {
    Ready(Option<Response<Body>>),
    Handler(Answer),
}

/// A request in answer.
pub(super) struct Serving {
    step: Step,
    answering: Option<Answering>,
    watch: Arc<Watch>,
    /// Tell browsers to insist on TLS.
    strict: bool,
    span: Span,
}

impl Future for Serving {
    type Output = Result<Response<Guarded>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let _entered = this.span.enter();
        let mut answer = match &mut this.step {
            Step::Ready(answer) => answer.take().unwrap_or_default(),
            Step::Handler(handler) => ready!(handler.as_mut().poll(cx)),
        };
        debug!(status = answer.status().as_u16(), "answered");
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            this.watch.stop();
        } else if this.watch.is_leaving() {
            answer.headers_mut().insert(CONNECTION, CLOSE);
        }
        if this.strict {
            let value = HeaderValue::from_static("max-age=31536000");
            answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value);
        }
        let answering = this.answering.take();
        Poll::Ready(Ok(answer.map(|body| Guarded { body, _answering: answering })))
    }
}

/// An answer's body; the request counts as being answered until it is gone.
#[derive(Debug)]
pub(super) struct Guarded {
    body: Body,
    _answering: Option<Answering>,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
