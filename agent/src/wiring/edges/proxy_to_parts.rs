//! What the proxy tells and asks of the other parts.

use std::sync::Arc;

use http::Response;

use super::front_to_identity::session_id;
use super::front_to_web::{Site, app_unknown};
use crate::apps::Apps;
use crate::base::tasks::Tasks;
use crate::identity::Identity;
use crate::os::clock;
use crate::proxy::{
    Activity, Body, Caller, Direction, Outside, Pages, Sessions, Unavailable, Wake,
};

/// Joins the proxy to sessions, apps and pages.
pub(in crate::wiring) fn outside(
    identity: &Identity,
    apps: &Apps,
    site: &Arc<Site>,
    tasks: &Tasks,
) -> Outside {
    let users = Arc::new(Users(identity.clone()));
    Outside {
        activity: Arc::<Users>::clone(&users),
        sessions: users,
        wake: Arc::new(Starts { apps: apps.clone(), tasks: tasks.clone() }),
        pages: Arc::<Site>::clone(site),
    }
}

struct Users(Identity);

impl Users {
    /// Notes the use of a session; `false` if it has ended.
    fn touch(&self, caller: &Caller) -> bool {
        let session = caller.session.as_deref().and_then(session_id);
        session.is_some_and(|id| self.0.touch(id, clock::now()))
    }
}

impl Activity for Users {
    /// The gate has noted the request already.
    fn http(&self, _app: &str, _caller: &Caller, _path: &str) {}

    /// Work of a kernel keeps the session, even if nobody touches the page.
    fn websocket_data(&self, _app: &str, caller: &Caller, _direction: Direction) {
        self.touch(caller);
    }
}

impl Sessions for Users {
    fn still_valid(&self, caller: &Caller) -> bool {
        let session = caller.session.as_deref().and_then(session_id);
        session.is_some_and(|id| self.0.alive(id, clock::now()))
    }
}

struct Starts {
    apps: Apps,
    tasks: Tasks,
}

impl Wake for Starts {
    fn wanted(&self, app: &str) {
        let (apps, app) = (self.apps.clone(), app.to_owned());
        self.tasks.work(async move {
            if let Err(error) = apps.want(&app).await {
                tracing::warn!(%app, %error, "a request did not start the app");
            }
        });
    }
}

impl Pages for Site {
    fn starting(&self, app: &str, message: &str) -> Response<Body> {
        self.app_starting(app, message)
    }

    fn unavailable(&self, app: &str, facts: &Unavailable) -> Response<Body> {
        self.app_down(app, &facts.message, &facts.lines)
    }

    fn unknown(&self, app: &str, known: &[&str]) -> Response<Body> {
        app_unknown(app, known)
    }
}
