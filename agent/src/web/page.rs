//! The frame around every page, and the headers that every answer of this feature carries.
//!
//! A page that stands for an error has two forms: HTML for a person who navigates, and a problem
//! document (RFC 9457) for a program. `message` in the document repeats `detail`, because
//! JupyterLab shows that member in its own dialogs.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use crate::web::html::Html;

/// Scripts, styles and connections come from this server only, nothing is inline, and only this
/// server may put a page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";
const PERMISSIONS: &str = "accelerometer=(), camera=(), clipboard-read=(), display-capture=(), \
     geolocation=(), gyroscope=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Page {
    /// The answer in the form that hyper and axum take.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let mut response = Response::new(B::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Which form of an error the client understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Html,
    Problem,
}

impl Format {
    /// HTML for a browser that navigates: it names `text/html`; scripts and programs do not.
    pub fn of(request: &HeaderMap) -> Self {
        let names_html = request
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains("text/html")));
        if names_html { Self::Html } else { Self::Problem }
    }
}

/// What a page does by itself after it was loaded; the script reads it from `data-page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Still,
    /// The live front page.
    Home,
    /// Loads again when the app named in `data-app` has changed its state.
    FollowsApp,
    /// Loads again when a login in another tab has succeeded.
    FollowsLogin,
}

impl Behaviour {
    const fn word(self) -> &'static str {
        match self {
            Self::Still => "still",
            Self::Home => "home",
            Self::FollowsApp => "app",
            Self::FollowsLogin => "login",
        }
    }
}

/// A page before it is put into its frame.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) status: StatusCode,
    /// The end of the problem's type, such as `login-needed`.
    pub(super) kind: &'static str,
    pub(super) title: String,
    /// What happened and what to do, in plain text; the HTML says the same in `main`.
    pub(super) detail: String,
    pub(super) main: Html,
    pub(super) behaviour: Behaviour,
    /// `data-…` attributes of the body, for the script.
    pub(super) data: Html,
    pub(super) retry_after_s: Option<u64>,
}

impl Draft {
    pub(super) fn new(status: StatusCode, kind: &'static str, title: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            title: title.into(),
            detail: String::new(),
            main: Html::new(),
            behaviour: Behaviour::Still,
            data: Html::new(),
            retry_after_s: None,
        }
    }

    pub(super) fn render(self, format: Format) -> Page {
        let mut headers = headers(match format {
            Format::Html => "text/html; charset=utf-8",
            Format::Problem => "application/problem+json",
        });
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.append(header::VARY, HeaderValue::from_static("accept"));
        let body = match format {
            Format::Html => self.html().into_string(),
            Format::Problem => self.problem(),
        };
        Page { status: self.status, headers, body: Bytes::from(body) }
    }

    fn problem(&self) -> String {
        json!({
            "type": format!("about:stationd/{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "message": self.detail,
        })
        .to_string()
    }

    fn html(&self) -> Html {
        let mut html = Html::literal(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>",
        )
        .text(&self.title)
        .raw("</title>\n<link rel=\"icon\" href=\"/static/icon.svg\">\n")
        .raw("<link rel=\"stylesheet\" href=\"/static/style.css\">\n")
        .raw("<script src=\"/static/app.js\" defer></script>\n");
        if self.behaviour == Behaviour::FollowsApp {
            html = html.raw("<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n");
        }
        html.raw("</head>\n<body data-page=\"")
            .raw(self.behaviour.word())
            .raw("\"")
            .push(&self.data)
            .raw(">\n")
            .push(&self.main)
            .raw("</body>\n</html>\n")
    }
}

/// A small page: one card with a title, and `body` below.
pub(super) fn card(title: &str, body: &Html) -> Html {
    Html::literal("<main class=\"card\">\n<h1>")
        .text(title)
        .raw("</h1>\n")
        .push(body)
        .raw("</main>\n<footer><a href=\"/\">This workstation</a> · <a href=\"/help\">Help</a></footer>\n")
}

/// The headers of every answer: nothing is kept, guessed, framed by others or sent on.
pub(super) fn headers(content_type: &'static str) -> HeaderMap {
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ];
    fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_names_html_gets_html() {
        let check = |accept: Option<&'static str>, expect: Format| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Format::of(&headers), expect, "{accept:?}");
        };
        check(Some("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Html);
        check(Some("*/*"), Format::Problem);
        check(Some("application/json"), Format::Problem);
        check(None, Format::Problem);
    }

    #[test]
    fn a_problem_repeats_its_detail_for_jupyterlab() {
        let mut draft = Draft::new(StatusCode::UNAUTHORIZED, "login-needed", "Log in");
        draft.detail = "run \"stationctl login\"".to_owned();
        let page = draft.render(Format::Problem);
        let body: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        assert_eq!(body["type"], "about:stationd/login-needed");
        assert_eq!(body["status"], 401);
        assert_eq!(body["message"], body["detail"]);
        assert_eq!(page.headers[header::CONTENT_TYPE], "application/problem+json");
    }
}
