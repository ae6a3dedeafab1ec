//! Pure: which request needs what, and who has it. The same table guards every way in.

use http::Method;
use station_proto::token::Action;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To look.
    Read,
    /// To start and stop the user's own apps.
    Operate,
    /// To open a browser session for the user, or to hand out a token.
    Invite,
    /// To end everything.
    Administer,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A browser session of the assigned user, on the public listener.
    Session,
    /// The admin socket, with the uid that the kernel names.
    Socket { uid: u32 },
}

/// Who may do more than look on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    /// The uid that stationd runs as.
    pub daemon: u32,
    /// The uid of `instance.local_user`.
    pub local_user: u32,
}

/// One route's need, under the reference's name for the action.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub method: &'static str,
    pub path: &'static str,
    pub need: Need,
    /// The action that a token must allow; [`NO_TOKEN`] where none is enough.
    pub action: &'static str,
}

/// No action has this name.
pub const NO_TOKEN: &str = "";

const fn rule(method: &'static str, path: &'static str, need: Need, action: &'static str) -> Rule {
    Rule { method, path, need, action }
}

const READ: &str = Action::Read.name();
const ACCESS: &str = Action::ApplicationAccess.name();

/// Every route of the API. A request that is not in this table is refused.
pub const RULES: &[Rule] = &[
    rule("GET", "/v1/heartbeat", Need::Read, READ),
    rule("GET", "/v1/lease", Need::Read, READ),
    rule("GET", "/v1/status", Need::Read, READ),
    rule("GET", "/v1/samples", Need::Read, READ),
    rule("GET", "/v1/node", Need::Read, READ),
    rule("GET", "/v1/mounts", Need::Read, READ),
    rule("GET", "/v1/mounts/{name}", Need::Read, READ),
    // Files that programs have open must be opened again: no page of the user's may ask for that.
    rule("POST", "/v1/mounts/{name}/remount", Need::Invite, Action::Restart.name()),
    rule("POST", "/v1/mounts/{name}/drain", Need::Invite, Action::Stop.name()),
    rule("GET", "/v1/gpus", Need::Read, READ),
    rule("GET", "/v1/gpus/calls", Need::Read, READ),
    rule("GET", "/v1/events", Need::Read, READ),
    rule("GET", "/metrics", Need::Read, READ),
    rule("GET", "/v1/history", Need::Read, READ),
    rule("GET", "/v1/apps", Need::Read, READ),
    rule("GET", "/v1/apps/{name}", Need::Read, READ),
    rule("GET", "/v1/apps/{name}/activity", Need::Read, READ),
    rule("GET", "/v1/apps/{name}/logs", Need::Operate, ACCESS),
    rule("POST", "/v1/apps/{name}/start", Need::Operate, Action::Start.name()),
    rule("POST", "/v1/apps/{name}/stop", Need::Operate, Action::Stop.name()),
    rule("POST", "/v1/apps/{name}/restart", Need::Operate, Action::Restart.name()),
    rule("POST", "/v1/login-links", Need::Invite, ACCESS),
    // A token that could make another one would have no end.
    rule("GET", "/v1/tokens", Need::Invite, NO_TOKEN),
    rule("POST", "/v1/tokens", Need::Invite, NO_TOKEN),
    rule("DELETE", "/v1/tokens/{id}", Need::Invite, NO_TOKEN),
    // Whoever ends stationd from afar could not start it again.
    rule("POST", "/v1/down", Need::Administer, NO_TOKEN),
];

/// The rule of a request; `None` if there is no such route.
///
/// HEAD counts as GET. A path that exists with another method has the rule of that other
/// method, so that the router can answer 405 to whoever may know.
pub fn find(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut here = RULES.iter().filter(|rule| matches(rule.path, path));
    let first = here.clone().next();
    here.find(|rule| rule.method == method).or(first)
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let all = pattern.split('/').all(|expected| {
        segments.next().is_some_and(|found| {
            expected == found || (expected.starts_with('{') && !found.is_empty())
        })
    });
    all && segments.next().is_none()
}

/// Whether `way` has what is needed.
pub fn allows(need: Need, way: Way, owners: Owners) -> bool {
    match way {
        Way::Session => matches!(need, Need::Read | Need::Operate),
        Way::Socket { uid } if uid == 0 || uid == owners.daemon => true,
        Way::Socket { uid } if uid == owners.local_user => need != Need::Administer,
        Way::Socket { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_what() {
        let owners = Owners { daemon: 990, local_user: 1000 };
        let table = [
            (Way::Session, [true, true, false, false]),
            (Way::Socket { uid: 0 }, [true, true, true, true]),
            (Way::Socket { uid: 990 }, [true, true, true, true]),
            (Way::Socket { uid: 1000 }, [true, true, true, false]),
            (Way::Socket { uid: 1001 }, [false, false, false, false]),
        ];
        for (way, expected) in table {
            let needs = [Need::Read, Need::Operate, Need::Invite, Need::Administer];
            assert_eq!(needs.map(|need| allows(need, way, owners)), expected, "{way:?}");
        }
    }

    #[test]
    fn what_each_action_reaches() {
        let of = |action: &str| {
            let rules = RULES.iter().filter(|rule| rule.action == action);
            rules.map(|rule| format!("{} {}", rule.method, rule.path)).collect::<Vec<_>>()
        };
        assert!(
            RULES
                .iter()
                .all(|rule| rule.action == NO_TOKEN || Action::parse(rule.action).is_some())
        );
        let reads = of("computes/read");
        assert!(reads.iter().all(|route| route.starts_with("GET ")), "{reads:?}");
        for path in ["/v1/heartbeat", "/v1/lease", "/v1/events", "/v1/apps", "/metrics"] {
            assert!(reads.contains(&format!("GET {path}")), "{path}");
        }
        for verb in ["start", "stop", "restart"] {
            let routes = of(&format!("computes/{verb}/action"));
            let app = format!("POST /v1/apps/{{name}}/{verb}");
            let share = match verb {
                "stop" => Some("POST /v1/mounts/{name}/drain".to_owned()),
                "restart" => Some("POST /v1/mounts/{name}/remount".to_owned()),
                _ => None,
            };
            let mut expected = vec![app];
            expected.extend(share);
            expected.sort();
            let mut routes = routes;
            routes.sort();
            assert_eq!(routes, expected);
        }
        let access = of("computes/applicationaccess/action");
        assert_eq!(access, ["GET /v1/apps/{name}/logs", "POST /v1/login-links"]);
        let never = of(NO_TOKEN);
        assert!(never.iter().all(|route| route.contains("/v1/tokens") || route.contains("down")));
        assert_eq!(never.len(), 4);
    }

    #[test]
    fn a_route_is_found_by_method_and_shape() {
        let need = |method, path| find(&method, path).map(|rule| (rule.method, rule.need));
        assert_eq!(need(Method::GET, "/v1/apps/lab"), Some(("GET", Need::Read)));
        assert_eq!(need(Method::HEAD, "/v1/apps"), Some(("GET", Need::Read)));
        assert_eq!(need(Method::POST, "/v1/apps/lab/stop"), Some(("POST", Need::Operate)));
        assert_eq!(need(Method::GET, "/v1/down"), Some(("POST", Need::Administer)));
        assert_eq!(need(Method::DELETE, "/v1/tokens/7"), Some(("DELETE", Need::Invite)));
        assert_eq!(need(Method::DELETE, "/v1/tokens/"), None);
        assert_eq!(need(Method::GET, "/v1/apps/"), None);
        assert_eq!(need(Method::GET, "/v1/apps/a/b/c"), None);
        assert_eq!(need(Method::GET, "/v1/nothing"), None);
    }
}
