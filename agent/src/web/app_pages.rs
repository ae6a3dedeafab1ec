//! What stands in the place of an app that cannot answer now: it is starting, or it is down.
//!
//! Instead of a bare 502 the page names the component, how it ended, what it wrote last, when it
//! is started again and what the reader can do.

use http::StatusCode;
use station_proto::app::{App, AppPhase};
use station_proto::time::Time;

use crate::web::home::{button, last_end, log};
use crate::web::html::Html;
use crate::web::page::{Behaviour, Draft, Format, Page, card};
use crate::web::words;

/// Why the proxy has no answer of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The supervisor says that it does not run; see its phase.
    NotRunning,
    /// It was wanted, and its start did not begin.
    NotStarted(String),
    /// It should run, and its socket took no connection or broke it before an answer.
    Broke(String),
    /// It took the request and did not answer in time.
    TimedOut,
}

/// An app that cannot answer.
#[derive(Debug, Clone, Copy)]
pub struct AppDown<'a> {
    pub app: &'a App,
    pub fault: &'a Fault,
    /// The last lines of its log, oldest first, secrets already taken out.
    pub lines: &'a [String],
    pub now: Time,
}

/// 503: the app is being started. The page loads again by itself.
pub fn app_starting(app: &App, format: Format) -> Page {
    let title = format!("{} is starting", app.name);
    let mut draft = follow(StatusCode::SERVICE_UNAVAILABLE, "app-starting", &title, app);
    draft.retry_after_s = Some(2);
    draft.detail = format!("{title}: {}; try again in a few seconds", app.message);
    draft.main = card(
        &title,
        &Html::literal("<p class=\"spinner\" aria-hidden=\"true\"></p>\n<p>")
            .text(&app.message)
            .raw("</p>\n<p class=\"dim\" role=\"status\">Since ")
            .push(&words::time(app.since))
            .raw(". This page opens the app when it answers.</p>\n"),
    );
    draft.render(format)
}

/// 502, 503 or 504: the app is down.
pub fn app_down(down: &AppDown<'_>, format: Format) -> Page {
    let app = down.app;
    let status = match down.fault {
        Fault::NotRunning | Fault::NotStarted(_) => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Broke(_) => StatusCode::BAD_GATEWAY,
        Fault::TimedOut => StatusCode::GATEWAY_TIMEOUT,
    };
    let title = headline(down);
    let mut draft = follow(status, "app-down", &title, app);
    draft.retry_after_s = app.next_start.map(|next| words::until(down.now, next).as_secs().max(1));
    let advice = advice(app);
    draft.detail = [title.as_str(), &app.message, &evidence(down), &advice]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    draft.main = card(&title, &body(down, &advice));
    draft.render(format)
}

fn follow(status: StatusCode, kind: &'static str, title: &str, app: &App) -> Draft {
    let mut draft = Draft::new(status, kind, title);
    draft.behaviour = Behaviour::FollowsApp;
    draft.data = Html::literal(" data-app=\"").text(&app.name).raw("\"");
    draft
}

fn headline(down: &AppDown<'_>) -> String {
    let name = &down.app.name;
    match (down.fault, down.app.phase) {
        (Fault::TimedOut, _) | (_, AppPhase::Degraded) => {
            format!("{name} runs but does not answer")
        }
        (_, AppPhase::Stopped) => format!("{name} is stopped"),
        (_, AppPhase::Stopping) => format!("{name} is being stopped"),
        (_, AppPhase::Unavailable) => format!("{name} cannot be started on this machine"),
        (_, AppPhase::Failed) => format!("{name} keeps failing"),
        _ => format!("{name} is down"),
    }
}

/// What the proxy saw, or how the app ended.
fn evidence(down: &AppDown<'_>) -> String {
    let seen = match down.fault {
        Fault::NotRunning => String::new(),
        Fault::NotStarted(error) => format!("it could not be started ({error})"),
        Fault::Broke(error) => format!("it gave no answer ({error})"),
        Fault::TimedOut => "it took the request and did not answer in time".to_owned(),
    };
    if !seen.is_empty() {
        return seen;
    }
    let end = down.app.last_end.as_ref();
    end.map_or_else(String::new, |end| format!("last end: {}", end.message))
}

fn advice(app: &App) -> String {
    let own = app.last_end.as_ref().map_or("", |end| end.action.as_str());
    // What was to be done about its last end is done when it runs again.
    if !own.is_empty() && app.phase != AppPhase::Degraded {
        return own.to_owned();
    }
    let name = &app.name;
    match app.phase {
        AppPhase::Stopped => format!("start it here or with: stationctl app start {name}"),
        AppPhase::Stopping => "wait until it has ended, then start it".to_owned(),
        AppPhase::Unavailable => {
            "install what is missing; `stationctl status` lists the places that were tried"
                .to_owned()
        }
        _ => format!("restart it here or with: stationctl app restart {name}"),
    }
}

fn body(down: &AppDown<'_>, advice: &str) -> Html {
    let app = down.app;
    let mut html = Html::literal("<p>")
        .push(&words::pill(words::app_phase(app.phase)))
        .raw(" <span class=\"dim\">since ")
        .push(&words::time(app.since))
        .raw("</span></p>\n");
    // A message that only repeats the label tells nothing.
    if app.message != words::app_phase(app.phase).word {
        html = html.raw("<p>").text(&app.message).raw("</p>\n");
    }
    let evidence = evidence(down);
    if *down.fault != Fault::NotRunning {
        html = html.raw("<p>What stationd saw: ").text(&evidence).raw(".</p>\n");
    }
    if let Some(next) = app.next_start {
        html = html
            .raw("<p>Next start: in ")
            .text(&words::duration(words::until(down.now, next)))
            .raw(" (")
            .push(&words::time(next))
            .raw(").</p>\n");
    }
    html = html.push(&words::action(advice)).raw("\n<p class=\"buttons\">");
    html = match app.phase {
        AppPhase::Stopping => html,
        AppPhase::Stopped | AppPhase::Unavailable => html.push(&button(&app.name, "start")),
        _ => html.push(&button(&app.name, "restart")),
    };
    html = html.raw("</p>\n<div id=\"notice\" role=\"status\" aria-live=\"polite\"></div>\n");
    if let Some(end) = &app.last_end {
        html = html.push(&last_end(&app.name, end));
    }
    if !down.lines.is_empty() {
        html = html.raw("<h2>Its last log lines</h2>\n").push(&log(down.lines));
    }
    html
}
