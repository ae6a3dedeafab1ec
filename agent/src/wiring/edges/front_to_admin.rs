//! The `/v1` API behind the public listener, under the same rules as on the admin socket.

use std::sync::Arc;

use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tower_service::Service;

use super::front_to_identity::session_id;
use crate::admin::events::StillValid;
use crate::admin::rules::{Need, RULES};
use crate::front::gate::Policy;
use crate::front::routes::{Answer, Caller, Handler, Routes};

/// What opened a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wiring) enum Opener {
    Session(u64),
    Token(u64),
}

/// Whether it still holds.
pub(in crate::wiring) type Alive = Arc<dyn Fn(Opener) -> bool + Send + Sync>;

struct Api {
    router: axum::Router,
    alive: Alive,
}

impl Handler for Api {
    fn handle(&self, mut request: Request<Incoming>, caller: Caller) -> Answer {
        let mut router = self.router.clone();
        let number = |name: Option<Arc<str>>| name.map(|name| session_id(&name));
        let session = number(caller.session).map(|id| id.map(Opener::Session));
        let token = number(caller.token).map(|id| id.map(Opener::Token));
        let (opener, certificate) = (session.or(token), caller.certificate);
        if opener.is_some() || certificate.is_some() {
            let alive = Arc::clone(&self.alive);
            let still_valid = StillValid(Arc::new(move || {
                opener.is_none_or(|opener| opener.is_some_and(|one| alive(one)))
                    && certificate.as_ref().is_none_or(|certificate| certificate.holds())
            }));
            request.extensions_mut().insert(still_valid);
        }
        Box::pin(async move {
            let Ok(answer) = router.call(request).await;
            answer.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    }
}

/// Adds every route of the API with the policy that its rule asks for.
pub(in crate::wiring) fn routes(mut routes: Routes, v1: axum::Router, alive: Alive) -> Routes {
    let api: Arc<dyn Handler> = Arc::new(Api { router: v1, alive });
    for rule in RULES {
        let session_may = matches!(rule.need, Need::Read | Need::Operate);
        let policy = Policy::Api { session_may, action: rule.action };
        let method = Method::from_bytes(rule.method.as_bytes()).ok();
        routes = routes.with(method, rule.path, policy, Arc::clone(&api));
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::rules::{self, Owners, Way};

    #[test]
    fn the_gate_lets_a_session_do_exactly_what_the_rules_do() {
        let owners = Owners { daemon: 1, local_user: 2 };
        let routes = routes(Routes::new(), axum::Router::new(), Arc::new(|_id| true));
        assert_eq!(routes.iter().count(), RULES.len());
        for route in routes.iter() {
            let method = route.method.clone().unwrap();
            let rule = rules::find(&method, &route.pattern).unwrap();
            let Policy::Api { session_may, action } = route.policy else { panic!("{route:?}") };
            assert_eq!(session_may, rules::allows(rule.need, Way::Session, owners));
            assert_eq!(action, rule.action);
        }
    }
}
