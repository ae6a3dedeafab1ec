//! Refusals that are neither a login nor an app: wrong name, wrong place, wrong request.

use http::StatusCode;

use crate::web::html::Html;
use crate::web::page::{Draft, Format, Page, card};

/// A refusal in words of the one who refused.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    pub status: StatusCode,
    /// The end of the problem's type, such as `foreign-origin`.
    pub kind: &'static str,
    pub title: &'a str,
    /// What happened and what to do.
    pub detail: &'a str,
}

/// Any refusal.
pub fn refused(refusal: &Refusal<'_>, format: Format) -> Page {
    let mut draft = Draft::new(refusal.status, refusal.kind, refusal.title);
    refusal.detail.clone_into(&mut draft.detail);
    draft.main = card(refusal.title, &Html::literal("<p>").text(refusal.detail).raw("</p>\n"));
    draft.render(format)
}

/// 404
pub fn not_found(path: &str, format: Format) -> Page {
    let mut draft = Draft::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here");
    draft.detail = format!("{path} is not a page of this workstation; the start page is /");
    draft.main = card(
        "There is nothing here",
        &Html::literal("<p><code>")
            .text(path)
            .raw("</code> is not a page of this workstation.</p>\n")
            .raw("<p class=\"buttons\"><a class=\"button main\" href=\"/\">Start page</a></p>\n"),
    );
    draft.render(format)
}

/// 421: the request names a host that is not this one's, as in a DNS rebinding attack.
pub fn wrong_host(host: &str, format: Format) -> Page {
    let mut draft = Draft::new(
        StatusCode::MISDIRECTED_REQUEST,
        "wrong-host",
        "This workstation does not go by that name",
    );
    draft.detail = format!(
        "the host name {host:?} is not allowed; if it is right, add it to listen.hosts in stationd.toml"
    );
    draft.main = card(
        "This workstation does not go by that name",
        &Html::literal("<p>The browser asked for <code>")
            .text(host)
            .raw("</code>. A name that is not listed is refused, because a hostile page could ")
            .raw("otherwise point its own name at this machine.</p>\n")
            .raw("<p>If the name is right, add it to <code>stationd.toml</code>:</p>\n")
            .raw("<pre class=\"command\">[listen]\nhosts = [")
            .text(&format!("{:?}", without_port(host)))
            .raw("]</pre>\n"),
    );
    draft.render(format)
}

/// `listen.hosts` holds names without a port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_host_page_names_the_key() {
        let page = wrong_host("box.example:8710", Format::Html);
        let text = std::str::from_utf8(&page.body).unwrap();
        assert!(text.contains("hosts = [&quot;box.example&quot;]"), "{text}");
        assert_eq!(page.status, StatusCode::MISDIRECTED_REQUEST);
    }

    #[test]
    fn a_port_is_taken_off_and_an_ipv6_address_stays() {
        assert_eq!(without_port("a.example:80"), "a.example");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("a.example"), "a.example");
    }
}
