//! Login links, sessions and tokens behind the public listener.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use secrecy::ExposeSecret;

use super::front_to_web::{Site, answer, cannot_record, empty};
use crate::base::chain::Chain;
use crate::front::gate::Policy;
use crate::front::routes::{Answer, Body, Caller, Handler, Routes};
use crate::front::{Credentials, Session, Token, Wanted};
use crate::identity::{
    ABSOLUTE, AppCookie, Identity, IdentityError, KnownToken, Link, Login, NextPath, Redeemed,
    SessionCookie,
};
use crate::os::clock;
use crate::web::{self, Format, LinkRefusal, LoginNeeded};

/// What a cookie and a token are worth.
pub(in crate::wiring) struct Sessions {
    pub identity: Identity,
    pub app_cookie: AppCookie,
}

impl Credentials for Sessions {
    fn session(&self, cookie: &str) -> Option<Session> {
        let session = self.identity.check(cookie, clock::now())?;
        // One user per machine: every session is that user's.
        Some(Session { id: session.name, user: session.user, assigned: true })
    }

    fn used(&self, session: &Session) {
        if let Some(id) = session_id(&session.id) {
            // One that ended a moment ago stays ended.
            self.identity.touch(id, clock::now());
        }
    }

    fn bearer(&self, token: &str, wanted: Wanted<'_>) -> Option<Token> {
        Some(worth(self.identity.check_token(token, clock::now())?, wanted))
    }

    fn app_cookie(&self, value: &str, wanted: Wanted<'_>) -> Option<Token> {
        Some(worth(self.identity.check_app_cookie(value, clock::now())?, wanted))
    }

    fn used_token(&self, token: &Token) {
        if let Some(id) = session_id(&token.id) {
            self.identity.touch_token(id, clock::now());
        }
    }

    fn exchanged(&self, token: &str, app: &str) -> Option<HeaderValue> {
        let now = clock::now();
        let known =
            self.identity.check_token(token, now).filter(|known| known.scope.app() == Some(app))?;
        let (secret, left) = self.identity.app_cookie(token, now)?;
        let cookie = self.app_cookie.set(known.scope.app()?, secret.expose_secret(), left);
        let mut value = HeaderValue::from_str(&cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// A token opens its app, or does what its actions say, and nothing else.
fn worth(token: KnownToken, wanted: Wanted<'_>) -> Token {
    let may = token.scope.allows(wanted.action, wanted.app);
    Token { id: token.name, user: token.user, may }
}

/// The number behind the front's name of a session or a token.
pub(in crate::wiring) fn session_id(name: &str) -> Option<u64> {
    name.parse().ok()
}

/// What the login routes need.
pub(in crate::wiring) struct Logins {
    pub identity: Identity,
    pub cookie: SessionCookie,
    pub site: Arc<Site>,
}

pub(in crate::wiring) fn routes(routes: Routes, logins: Logins) -> Routes {
    let logins = Arc::new(logins);
    let (enter, leave) = (Enter(Arc::clone(&logins)), Leave(logins));
    routes.with(Some(Method::GET), "/login/{token}", Policy::Visit, Arc::new(enter)).with(
        Some(Method::POST),
        "/logout",
        Policy::Session,
        Arc::new(leave),
    )
}

/// `GET /login/TOKEN`. HEAD, which link previews send, uses nothing up.
struct Enter(Arc<Logins>);

impl Handler for Enter {
    fn handle(&self, request: Request<Incoming>, _caller: Caller) -> Answer {
        let logins = Arc::clone(&self.0);
        Box::pin(async move {
            let token = request.uri().path().trim_start_matches("/login/").to_owned();
            let format = Format::of(request.headers());
            let answer = if request.method() == Method::HEAD {
                logins.peek(&token, format).await
            } else {
                logins.redeem(&token, format).await
            };
            answer.unwrap_or_else(|error| {
                tracing::error!(error = %Chain(&error), "a login could not be recorded");
                cannot_record(format)
            })
        })
    }
}

/// `POST /logout`
struct Leave(Arc<Logins>);

impl Handler for Leave {
    fn handle(&self, _request: Request<Incoming>, caller: Caller) -> Answer {
        let logins = Arc::clone(&self.0);
        Box::pin(async move {
            if let Some(id) = caller.session.as_deref().and_then(session_id) {
                logins.identity.logout(id).await;
            }
            let login = LoginNeeded { next: Some("/"), ..logins.site.login_needed(None, false) };
            let page = web::logged_out(&login);
            let mut answer = answer(page);
            set_cookie(&mut answer, &logins.cookie.clear());
            answer
        })
    }
}

impl Logins {
    async fn peek(&self, token: &str, format: Format) -> Result<Response<Body>, IdentityError> {
        Ok(match self.identity.peek(token, clock::now()).await? {
            Link::Open { .. } => empty(StatusCode::OK),
            Link::Used { next } => self.refused(LinkRefusal::Used, Some(&next), format),
            Link::Expired { next } => self.refused(LinkRefusal::Expired, Some(&next), format),
            Link::Unknown => self.refused(LinkRefusal::Unknown, None, format),
        })
    }

    async fn redeem(&self, token: &str, format: Format) -> Result<Response<Body>, IdentityError> {
        Ok(match self.identity.redeem(token, clock::now()).await? {
            Redeemed::Login(login) => self.welcome(&login),
            Redeemed::Used { next } => self.refused(LinkRefusal::Used, Some(&next), format),
            Redeemed::Expired { next } => self.refused(LinkRefusal::Expired, Some(&next), format),
            Redeemed::Unknown => self.refused(LinkRefusal::Unknown, None, format),
        })
    }

    /// 303 to the wanted page, with the cookie.
    fn welcome(&self, login: &Login) -> Response<Body> {
        let mut answer = empty(StatusCode::SEE_OTHER);
        set_cookie(&mut answer, &self.cookie.set(login.secret.expose_secret(), ABSOLUTE));
        if let Ok(next) = HeaderValue::from_str(login.next.as_str()) {
            answer.headers_mut().insert(header::LOCATION, next);
        }
        answer
    }

    /// The page names the command, and goes on to where the link led after a login in any tab.
    fn refused(
        &self,
        refusal: LinkRefusal,
        next: Option<&NextPath>,
        format: Format,
    ) -> Response<Body> {
        let next = next.map(NextPath::as_str);
        let login = LoginNeeded { next, ..self.site.login_needed(next, false) };
        answer(web::link_refused(refusal, &login, format))
    }
}

fn set_cookie(answer: &mut Response<Body>, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}
