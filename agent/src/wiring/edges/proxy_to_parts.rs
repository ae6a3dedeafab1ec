//! What the proxy tells and asks of the other parts.

use std::sync::Arc;

use http::{Method, Response};

use super::front_to_identity::session_id;
use super::front_to_web::{Site, app_unknown};
use crate::apps::{Apps, Use};
use crate::base::chain::Chain;
use crate::identity::Identity;
use crate::os::clock;
use crate::proxy::{
    Activity, Body, Caller, Direction, Outside, Pages, Sessions, Unavailable, Wake, Why, Woken,
};
use crate::web::Fault;

/// Joins the proxy to sessions, apps and pages.
pub(in crate::wiring) fn outside(identity: &Identity, apps: &Apps, site: &Arc<Site>) -> Outside {
    let users = Arc::new(Users(identity.clone(), apps.clone()));
    Outside {
        activity: Arc::<Users>::clone(&users),
        sessions: users,
        wake: Arc::new(Starts(apps.clone())),
        pages: Arc::<Site>::clone(site),
    }
}

struct Users(Identity, Apps);

impl Activity for Users {
    /// The gate has noted the use of the session already.
    fn http(&self, app: &str, _caller: &Caller, method: &Method, path: &str) {
        self.1.used(app, Use::Request { method: method.as_str(), path });
    }

    /// Work of a kernel keeps the session, even if nobody touches the page.
    fn websocket_data(&self, app: &str, caller: &Caller, path: &str, direction: Direction) {
        let now = clock::now();
        if let Some(id) = number(caller.session.as_ref()) {
            self.0.touch(id, now);
        }
        if let Some(id) = number(caller.token.as_ref()) {
            self.0.touch_token(id, now);
        }
        if direction == Direction::FromClient {
            self.1.used(app, Use::Message { path });
        }
    }
}

impl Sessions for Users {
    fn still_valid(&self, caller: &Caller) -> bool {
        let now = clock::now();
        number(caller.session.as_ref()).is_some_and(|id| self.0.alive(id, now))
            || number(caller.token.as_ref()).is_some_and(|id| self.0.token_alive(id, now))
    }
}

fn number(name: Option<&Arc<str>>) -> Option<u64> {
    name.and_then(|name| session_id(name))
}

struct Starts(Apps);

impl Wake for Starts {
    fn wanted(&self, app: &str) -> Woken {
        let (apps, app) = (self.0.clone(), app.to_owned());
        Box::pin(async move {
            apps.want(&app).await.map_err(|error| {
                let error = Chain(&error).to_string();
                tracing::warn!(%app, error, "a request did not start the app");
                error
            })
        })
    }
}

impl Pages for Site {
    fn starting(&self, app: &str, message: &str) -> Response<Body> {
        self.app_starting(app, message)
    }

    fn unavailable(&self, app: &str, facts: &Unavailable) -> Response<Body> {
        let fault = match facts.why {
            Why::NotRunning => Fault::NotRunning,
            Why::NotStarted => Fault::NotStarted(facts.message.clone()),
            Why::Unreachable => Fault::Broke(facts.message.clone()),
            Why::Silent => Fault::TimedOut,
        };
        self.app_down(app, &fault, facts)
    }

    fn unknown(&self, app: &str, known: &[&str]) -> Response<Body> {
        app_unknown(app, known)
    }
}
