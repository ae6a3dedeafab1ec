//! The one decision on a request, made before http and websocket go separate ways. Pure.
//!
//! Order: Host (a page that rebinds a name to this machine learns nothing else), then who it is,
//! then whether that person's browser was sent here by another site. A websocket is judged
//! stricter than a request: browsers send cookies with it from any site and ask nobody.
//! A token says by whom it was sent; a cookie that stands for a token is sent by any page, and is
//! judged as the session's is. The rule for unsafe methods is that of Go 1.25's cross-origin protection. What another site, or
//! another port of this host (cookies ignore ports), may do is one thing: lead the person here by a
//! link. An image or a frame of its pages starts no app and uses no login link up.

pub mod control;
pub mod credential;

use http::{Method, StatusCode};

/// Who may use a route. A route cannot be made without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Anybody who names the right host.
    Open,
    /// As `Open`, for what must not happen unseen: another site's page gets there by a link alone.
    Visit,
    /// A person with a session; pages.
    Session,
    /// The assigned user, or a token that may open apps.
    App,
    /// A token that may do `action`; a session too if `session_may`.
    Api { session_may: bool, action: &'static str },
}

/// The action that a token needs for [`Policy::App`].
pub const APP_ACTION: &str = "computes/applicationaccess/action";
/// What a token would need for [`Policy::Session`]: no action has this name, pages are for people.
pub const PAGE_ACTION: &str = "page";

impl Policy {
    /// The action a token must allow.
    pub fn action(self) -> Option<&'static str> {
        match self {
            Self::Open | Self::Visit => None,
            Self::Session => Some(PAGE_ACTION),
            Self::App => Some(APP_ACTION),
            Self::Api { action, .. } => Some(action),
        }
    }
}

/// What our cookie said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    Absent,
    /// It came more than once; no way to know which one we set.
    Twice,
    /// Expired, logged out or never ours.
    Unknown,
    /// A session; `assigned` if it belongs to the assigned user.
    Known {
        assigned: bool,
    },
}

/// What a token said, in `Authorization` or in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    Absent,
    Unknown,
    /// A token; `may` if it allows the policy's action, at this app where it is about an app.
    Known {
        may: bool,
    },
}

/// What the cookie said that stands for a token at one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppCookie {
    Absent,
    /// It came more than once.
    Twice,
    /// Its token has expired or was revoked, or never was.
    Unknown,
    /// `may` as for [`Bearer`].
    Known {
        may: bool,
    },
}

/// All that the decision rests on. A field that is present but not text is `Some("")`.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub method: &'a Method,
    /// The request asks for a websocket.
    pub upgrade: bool,
    pub tls: bool,
    pub host: &'a str,
    pub origin: Option<&'a str>,
    pub fetch_site: Option<&'a str>,
    pub fetch_mode: Option<&'a str>,
    pub fetch_dest: Option<&'a str>,
    pub cookie: Cookie,
    pub bearer: Bearer,
    pub app_cookie: AppCookie,
}

/// The names that this station answers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// `listen.hosts`: `name` (any port) or `name:port`.
    pub hosts: Vec<String>,
    /// The origin of `listen.public_url`, such as `https://vm7.example:8443`.
    pub public_origin: Option<String>,
    /// `listen.allowed_origins`.
    pub allowed_origins: Vec<String>,
}

/// How the caller proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Nobody,
    /// A session.
    Cookie,
    /// A cookie that stands for a token.
    AppCookie,
    /// A token itself.
    Bearer,
    /// A client's certificate, on the control listener.
    Certificate,
}

/// Why the request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    UnknownHost,
    NotSignedIn,
    SessionEnded,
    TwoCookies,
    UnknownToken,
    NotAssigned,
    TokenMayNot,
    SessionMayNot,
    ForeignOrigin,
    NoOrigin,
    /// On the control listener.
    WrongName,
    NotVouchedFor,
    ControlMayNot,
}

pub type Verdict = Result<Via, Refusal>;

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NotSignedIn | Self::SessionEnded | Self::TwoCookies | Self::UnknownToken => {
                StatusCode::UNAUTHORIZED
            }
            Self::NotAssigned
            | Self::TokenMayNot
            | Self::SessionMayNot
            | Self::ForeignOrigin
            | Self::NoOrigin
            | Self::WrongName
            | Self::NotVouchedFor
            | Self::ControlMayNot => StatusCode::FORBIDDEN,
        }
    }

    /// A stable word for the problem type and for logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown-host",
            Self::NotSignedIn => "not-signed-in",
            Self::SessionEnded => "session-ended",
            Self::TwoCookies => "two-cookies",
            Self::UnknownToken => "unknown-token",
            Self::NotAssigned => "not-assigned",
            Self::TokenMayNot => "token-may-not",
            Self::SessionMayNot => "session-may-not",
            Self::ForeignOrigin => "foreign-origin",
            Self::NoOrigin => "no-origin",
            Self::WrongName => "certificate-not-allowed",
            Self::NotVouchedFor => "certificate-not-vouched-for",
            Self::ControlMayNot => "control-may-not",
        }
    }

    /// What happened and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::UnknownHost => {
                "this station does not answer to that name: add it to `listen.hosts` in \
                 stationd.toml, or use the public URL or localhost"
            }
            Self::NotSignedIn => {
                "run `stationctl login` on the machine and open the link it prints"
            }
            Self::SessionEnded => {
                "the session has ended: run `stationctl login` on the machine and open the link it \
                 prints"
            }
            Self::TwoCookies => {
                "a cookie of ours came twice: delete this site's cookies, then run \
                 `stationctl login` and open the link it prints"
            }
            Self::UnknownToken => {
                "the token is unknown, expired or revoked: make one on the machine with \
                 `stationctl login --token --app NAME` for an app, or with \
                 `stationctl token create --action ACTION` for the API"
            }
            Self::NotAssigned => "only the user whom this station is assigned to opens its apps",
            Self::TokenMayNot => {
                "a token opens the one app that it was made for, or the parts of the API that its \
                 actions name, and nothing else: make one on the machine, with \
                 `stationctl login --token --app NAME` for an app, or with \
                 `stationctl token create --action ACTION` for the API"
            }
            Self::SessionMayNot => {
                "a browser session may not do this: use `stationctl` on the machine, or a token"
            }
            Self::ForeignOrigin => {
                "the request was sent by another site; if that site is yours, add its origin to \
                 `listen.allowed_origins` in stationd.toml"
            }
            Self::NoOrigin => {
                "a websocket needs an Origin field, or a token instead of the session cookie"
            }
            Self::WrongName => {
                "no subject alternative name of the client's certificate is in control.allowed_san \
                 of stationd.toml: add it there, or use another certificate"
            }
            Self::NotVouchedFor => {
                "the client's certificate has expired since, or no authority in control.client_ca \
                 vouches for it any more: connect with another certificate"
            }
            Self::ControlMayNot => {
                "a control plane's certificate alone does not allow this: log in on the machine, or \
                 send a token whose actions name it"
            }
        }
    }
}

/// May this request pass, and by what right?
pub fn decide(policy: Policy, facts: &Facts<'_>, names: &Names) -> Verdict {
    if !host_is_ours(facts.host, names) {
        return Err(Refusal::UnknownHost);
    }
    let via = who(policy, facts)?;
    if via != Via::Bearer {
        same_site(policy, facts, names)?;
    }
    Ok(via)
}

fn who(policy: Policy, facts: &Facts<'_>) -> Verdict {
    if matches!(policy, Policy::Open | Policy::Visit) {
        return Ok(Via::Nobody);
    }
    // The cookie goes first: the Authorization field may be meant for the app.
    match (facts.cookie, facts.bearer) {
        (Cookie::Twice, _) => Err(Refusal::TwoCookies),
        (Cookie::Known { assigned }, bearer) => match policy {
            Policy::App if !assigned => Err(Refusal::NotAssigned),
            Policy::Api { session_may, .. } if !session_may => match bearer {
                Bearer::Known { may: true } => Ok(Via::Bearer),
                Bearer::Known { may: false } => Err(Refusal::TokenMayNot),
                Bearer::Absent | Bearer::Unknown => Err(Refusal::SessionMayNot),
            },
            _ => Ok(Via::Cookie),
        },
        (_, Bearer::Known { may: true }) => Ok(Via::Bearer),
        (_, Bearer::Known { may: false }) => Err(Refusal::TokenMayNot),
        (cookie, bearer) => match facts.app_cookie {
            AppCookie::Known { may: true } => Ok(Via::AppCookie),
            AppCookie::Known { may: false } => Err(Refusal::TokenMayNot),
            AppCookie::Twice => Err(Refusal::TwoCookies),
            _ if cookie == Cookie::Unknown => Err(Refusal::SessionEnded),
            AppCookie::Absent if bearer == Bearer::Absent => Err(Refusal::NotSignedIn),
            AppCookie::Absent | AppCookie::Unknown => Err(Refusal::UnknownToken),
        },
    }
}

fn same_site(policy: Policy, facts: &Facts<'_>, names: &Names) -> Result<(), Refusal> {
    let listed = |origin: &str| names.allowed_origins.iter().any(|known| known == origin);
    let ours = |origin: &str| listed(origin) || origin_is_ours(origin, facts, names);
    if facts.upgrade {
        match facts.origin {
            None => return Err(Refusal::NoOrigin),
            Some(origin) if !ours(origin) => return Err(Refusal::ForeignOrigin),
            Some(_) => {}
        }
    }
    if matches!(*facts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        // The Origin of a websocket has said more than the fields of a fetch do.
        let passes = policy == Policy::Open
            || facts.upgrade
            || facts.origin.is_some_and(listed)
            || !sent_by_another(facts)
            || opens_a_page(facts);
        return passes.then_some(()).ok_or(Refusal::ForeignOrigin);
    }
    let allowed = match (facts.fetch_site, facts.origin) {
        (_, Some(origin)) if listed(origin) => true,
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => ours(origin),
        // Neither field: not a browser of this decade, and no browser attacks without one.
        (None, None) => true,
    };
    allowed.then_some(()).ok_or(Refusal::ForeignOrigin)
}

/// A page of another site, or of another port or name of this one, caused it.
fn sent_by_another(facts: &Facts<'_>) -> bool {
    facts.fetch_site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// The person follows a link: the answer becomes the whole page, not a part of another one.
fn opens_a_page(facts: &Facts<'_>) -> bool {
    facts.fetch_mode == Some("navigate") && facts.fetch_dest == Some("document")
}

fn origin_is_ours(origin: &str, facts: &Facts<'_>, names: &Names) -> bool {
    if names.public_origin.as_deref() == Some(origin) {
        // Someone in front of us may end TLS; then Host is the public one as well.
        return origin
            .split_once("://")
            .is_some_and(|(_, host)| host.eq_ignore_ascii_case(facts.host));
    }
    let scheme = if facts.tls { "https://" } else { "http://" };
    origin.strip_prefix(scheme).is_some_and(|host| host.eq_ignore_ascii_case(facts.host))
}

/// Whether the client speaks TLS: with us, or with someone in front of us who ends it. That shows
/// in the name that it asked for; fields such as `X-Forwarded-Proto` anybody can write.
pub fn is_https(facts: &Facts<'_>, names: &Names) -> bool {
    let public = names.public_origin.as_deref().and_then(|origin| origin.strip_prefix("https://"));
    facts.tls || public.is_some_and(|host| host.eq_ignore_ascii_case(facts.host))
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn host_is_ours(host: &str, names: &Names) -> bool {
    let Some(name) = without_port(host) else {
        return false;
    };
    let is = |known: &str, what: &str| known.eq_ignore_ascii_case(what);
    let public = || {
        let public = names.public_origin.as_deref().and_then(|o| o.split_once("://"));
        public.is_some_and(|(_, known)| is(known, host))
    };
    LOOPBACK.iter().any(|known| is(known, name))
        || names.hosts.iter().any(|known| is(known, host) || is(known, name))
        || public()
}

/// `Host` without its port; `None` if it is not a host and a port.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rfind(']') {
        Some(end) if host.starts_with('[') => host.split_at(end + 1),
        Some(_) => return None,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_is_number = match port.strip_prefix(':') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    (port_is_number && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
