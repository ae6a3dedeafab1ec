//! Pages for people without a session: how to get one, and why a link did not work.
//!
//! Each is served at the path that was wanted, so that loading it again after a login in any tab
//! leads there. None says anything about the machine beyond what the reader already typed.

use http::StatusCode;

use crate::web::html::Html;
use crate::web::page::{Behaviour, Draft, Format, Page, card};

/// What the login pages need to know.
#[derive(Debug, Clone, Copy)]
pub struct LoginNeeded<'a> {
    /// The app whose page was wanted, if it was one's.
    pub app: Option<&'a str>,
    /// The port on which stationd listens, for the tunnel.
    pub port: u16,
    /// Whether stationd listens on loopback only, so that another machine needs a tunnel.
    pub loopback: bool,
    /// Whether a cookie came along that is no longer valid.
    pub expired: bool,
    /// Where to go after a login, if that is not the path at which the page is served. It must
    /// be a path on this server.
    pub next: Option<&'a str>,
}

/// Why a login link was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRefusal {
    Used,
    Expired,
    Unknown,
}

/// 401: there is no session.
pub fn login_needed(login: &LoginNeeded<'_>, format: Format) -> Page {
    let (title, lead) = if login.expired {
        ("Your session has ended", "Log in again; nothing that runs was stopped.")
    } else {
        ("Please log in", "This workstation opens with a link that only its user can make.")
    };
    page("login-needed", title, lead, login).render(format)
}

/// 401: the link cannot open a session.
pub fn link_refused(refusal: LinkRefusal, login: &LoginNeeded<'_>, format: Format) -> Page {
    let (kind, title, lead) = match refusal {
        LinkRefusal::Used => (
            "link-used",
            "This link has been used",
            "A login link works once. If it was not you who opened it, somebody else did: tell \
             your administrator.",
        ),
        LinkRefusal::Expired => {
            ("link-expired", "This link has expired", "A login link works for ten minutes.")
        }
        LinkRefusal::Unknown => (
            "link-unknown",
            "This link is not known here",
            "It may be cut off, or made by another workstation.",
        ),
    };
    page(kind, title, lead, login).render(format)
}

/// 200: the session was ended on request.
pub fn logged_out(login: &LoginNeeded<'_>) -> Page {
    let lead = "Apps and kernels go on running. To come back, make a new link.";
    let mut draft = page("logged-out", "You are logged out", lead, login);
    draft.status = StatusCode::OK;
    draft.render(Format::Html)
}

fn page(
    kind: &'static str,
    title: &'static str,
    lead: &'static str,
    login: &LoginNeeded<'_>,
) -> Draft {
    let command = match login.app {
        Some(app) => format!("stationctl login --app {app}"),
        None => "stationctl login".to_owned(),
    };
    let mut draft = Draft::new(StatusCode::UNAUTHORIZED, kind, title);
    draft.behaviour = Behaviour::FollowsLogin;
    if let Some(next) = login.next {
        draft.data = Html::literal(" data-next=\"").text(next).raw("\"");
    }
    draft.detail = format!(
        "{title}; run `{command}` on the workstation and open the link in this browser, in any tab"
    );
    let mut body = Html::literal("<p>")
        .raw(lead)
        .raw("</p>\n<ol>\n<li>In a terminal on the workstation run<pre class=\"command\">")
        .text(&command)
        .raw("</pre></li>\n<li>Open the link that it prints in this browser.</li>\n</ol>\n");
    if login.loopback {
        body = body
            .raw("<details><summary>The terminal is an SSH session</summary>\n<p>")
            .raw("Then the link also needs a tunnel, from your own computer:</p>")
            .raw("<pre class=\"command\">ssh -L ")
            .value(login.port)
            .raw(":127.0.0.1:")
            .value(login.port)
            .raw(" USER@WORKSTATION</pre>\n<p>The command prints this line too.</p></details>\n");
    }
    draft.main = card(
        title,
        &body.raw(
            "<p class=\"dim\">After the login come back to this tab: it continues where you \
             wanted to go.</p>\n",
        ),
    );
    draft
}
