//! Which header fields go through. Pure.
//!
//! Hop-by-hop fields (RFC 9110, 7.6.1) and those that `Connection` names stay here; what we say
//! about the client is overwritten, never appended; our own credentials never reach an app. All
//! other fields, repeated ones too, go through as they came. Addresses in the answers of an app that
//! does not know its prefix are another matter ([`rewrite`]).
//!
//! Who comes with a token sends nothing that a browser would add by itself, so that no other site
//! can be behind the request. Jupyter cannot know that: it has no token and asks for its XSRF pair,
//! and refuses an Origin that is not its own. So such a request gets the pair and loses the Origin.

pub mod rewrite;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, HeaderName, ORIGIN, REFERER,
    SET_COOKIE, TE, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use crate::base::ids::{APP_COOKIE_SUFFIX, TOKEN_PREFIX};
use rewrite::Below;

/// What an app is told about the client, and what it is not.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub tls: bool,
    /// The client's address.
    pub peer: &'a HeaderValue,
    /// The name of our session cookie.
    pub cookie_name: &'a str,
    /// The caller came with a token itself: a random value for the XSRF pair, in hexadecimal digits.
    pub xsrf: Option<&'a str>,
    /// Ask the app for a websocket.
    pub websocket: bool,
}

/// The way back of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Back<'a> {
    /// The name of our cookie.
    pub cookie_name: &'a str,
    /// Where the app lives, if it does not know.
    pub below: Option<&'a Below>,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const XSRF_TOKEN: HeaderName = HeaderName::from_static("x-xsrftoken");
const SCHEME: HeaderName = HeaderName::from_static("x-scheme");
const RSTUDIO_REQUEST: HeaderName = HeaderName::from_static("x-rstudio-request");
const RSTUDIO_ROOT: HeaderName = HeaderName::from_static("x-rstudio-root-path");
/// How many fields say something about the client.
const ADDED: usize = 6;
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("Upgrade");

/// Makes a client's fields into those that the app gets.
pub fn to_app(headers: &mut HeaderMap, about: &About<'_>) {
    let trailers = headers.get(TE).is_some_and(takes_trailers);
    let gone = unwanted(headers, |name| is_hop(name) || is_about_client(name));
    for name in gone {
        headers.remove(name);
    }
    if headers.get_all(AUTHORIZATION).iter().any(carries_our_token) {
        headers.remove(AUTHORIZATION);
    }
    without_cookie(headers, about.cookie_name);
    if let Some(value) = about.xsrf {
        vouch(headers, value);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if about.websocket {
        headers.insert(CONNECTION, UPGRADE_TOKEN);
        headers.insert(UPGRADE, WEBSOCKET);
    }
    // Once, instead of at every other insertion.
    headers.reserve(ADDED);
    let scheme = HeaderValue::from_static(if about.tls { "https" } else { "http" });
    headers.insert(FORWARDED_FOR, about.peer.clone());
    headers.insert(REAL_IP, about.peer.clone());
    headers.insert(FORWARDED_PROTO, scheme.clone());
    headers.insert(SCHEME, scheme);
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(FORWARDED_PORT, port(&host, about.tls));
        headers.insert(FORWARDED_HOST, host);
    }
}

/// Gives a request the pair that Jupyter compares: cookie `_xsrf` and field `X-XSRFToken`. A cookie
/// of the client's own stays, and gets the field where the client sent none.
fn vouch(headers: &mut HeaderMap, value: &str) {
    headers.remove(ORIGIN);
    headers.remove(REFERER);
    if let Some(own) = own_xsrf(headers) {
        headers.entry(XSRF_TOKEN).or_insert(own);
        return;
    }
    let fields = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let pair = format!("_xsrf={value}");
    let all: Vec<&[u8]> = fields.chain([pair.as_bytes()]).collect();
    // One field: an app that joins several with a comma would misread the last.
    if let (Ok(cookies), Ok(value)) =
        (HeaderValue::from_bytes(&all.join(&b"; "[..])), HeaderValue::from_str(value))
    {
        headers.insert(COOKIE, cookies);
        headers.insert(XSRF_TOKEN, value);
    }
}

fn own_xsrf(headers: &HeaderMap) -> Option<HeaderValue> {
    let fields = headers.get_all(COOKIE).iter();
    let mut pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let value = pairs.find_map(|pair| pair.trim_ascii().strip_prefix(b"_xsrf="))?;
    HeaderValue::from_bytes(value).ok()
}

/// Tells an app that lives below a prefix that it does not see where it is. RStudio reads the
/// `X-RStudio-…` fields, others `X-Forwarded-Prefix`.
pub fn announce_prefix(headers: &mut HeaderMap, prefix: &str, target: &str, tls: bool) {
    let scheme = if tls { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let url = format!("{scheme}://{}{target}", host.unwrap_or_default());
    if let Ok(url) = HeaderValue::from_str(&url) {
        headers.insert(RSTUDIO_REQUEST, url);
    }
    if let Ok(prefix) = HeaderValue::from_str(prefix) {
        headers.insert(RSTUDIO_ROOT, prefix.clone());
        headers.insert(FORWARDED_PREFIX, prefix);
    }
}

/// Makes an app's fields into those that the client gets. An app cannot set a cookie of ours.
pub fn to_client(headers: &mut HeaderMap, back: Back<'_>, switched: bool) {
    let Back { cookie_name, below } = back;
    let gone = unwanted(headers, is_hop);
    for name in gone {
        headers.remove(name);
    }
    let is_ours = |value: &HeaderValue| names_cookie(value.as_bytes(), cookie_name);
    if headers.get_all(SET_COOKIE).iter().any(is_ours) {
        let all: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for value in all.into_iter().filter(|value| !is_ours(value)) {
            headers.append(SET_COOKIE, value);
        }
    }
    if let Some(below) = below {
        rewrite::to_client(headers, below);
    }
    if switched {
        headers.insert(CONNECTION, UPGRADE_TOKEN);
        headers.insert(UPGRADE, WEBSOCKET);
    }
}

/// Whether a request asks for a websocket in the way of RFC 6455.
pub fn asks_websocket(headers: &HeaderMap) -> bool {
    let named = |name: HeaderName, token: &[u8]| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| tokens(value).any(|seen| seen.eq_ignore_ascii_case(token)))
    };
    named(UPGRADE, b"websocket") && named(CONNECTION, b"upgrade")
}

fn unwanted(headers: &HeaderMap, fixed: fn(&str) -> bool) -> Vec<HeaderName> {
    let mut gone: Vec<HeaderName> =
        headers.keys().filter(|name| fixed(name.as_str())).cloned().collect();
    for value in headers.get_all(CONNECTION) {
        let named = tokens(value).filter_map(|token| HeaderName::from_bytes(token).ok());
        // Host and the framing of the body are not a client's to take away.
        gone.extend(named.filter(|name| *name != HOST && *name != CONTENT_LENGTH));
    }
    gone
}

fn is_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-authentication-info"
            | "expect"
    )
}

fn is_about_client(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => {
            name.starts_with("x-forwarded-")
                || name.starts_with("x-rstudio-")
                || matches!(name, "x-real-ip" | "x-scheme" | "x-proxycontextpath")
        }
        Some(b'f') => name == "forwarded",
        Some(b'p') => name.starts_with("proxy-") || name == "proxy",
        _ => false,
    }
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let parts = value.as_bytes().split(|byte| *byte == b',');
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// A token of ours in any scheme, whether it still holds or not.
fn carries_our_token(value: &HeaderValue) -> bool {
    let mut words = value.as_bytes().split(u8::is_ascii_whitespace).skip(1);
    words.any(|word| word.starts_with(TOKEN_PREFIX.as_bytes()))
}

fn takes_trailers(value: &HeaderValue) -> bool {
    tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// Takes our cookies out of every `Cookie` field; the others keep their bytes.
fn without_cookie(headers: &mut HeaderMap, ours: &str) {
    let Entry::Occupied(mut fields) = headers.entry(COOKIE) else {
        return;
    };
    let mut emptied = false;
    for field in fields.iter_mut() {
        if let Some(left) = without_pair(field.as_bytes(), ours) {
            emptied |= left.is_empty();
            *field = HeaderValue::from_bytes(&left).unwrap_or(HeaderValue::from_static(""));
        }
    }
    if emptied {
        let (name, fields) = fields.remove_entry_mult();
        let left: Vec<HeaderValue> = fields.filter(|field| !field.is_empty()).collect();
        for field in left {
            headers.append(&name, field);
        }
    }
}

/// A `Cookie` field without our cookies; none if ours are not in it.
fn without_pair(field: &[u8], ours: &str) -> Option<Vec<u8>> {
    let is_ours = |pair: &&[u8]| names_cookie(pair, ours);
    let mut pairs = field.split(|byte| *byte == b';');
    let before = pairs.position(|pair| is_ours(&pair))?;
    let all = field.split(|byte| *byte == b';');
    let kept: Vec<&[u8]> = all.take(before).chain(pairs.filter(|pair| !is_ours(pair))).collect();
    Some(kept.join(&b';').trim_ascii_start().to_vec())
}

/// Whether `name`, `name=value` or `name=value; …` is about a cookie of ours: the session's, whose
/// name is `ours`, or that of a token.
fn names_cookie(pair: &[u8], ours: &str) -> bool {
    let end = pair.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(pair.len());
    let name = without_prefix(pair.get(..end).unwrap_or_default().trim_ascii());
    let ours = without_prefix(ours.as_bytes());
    name == ours || name.strip_suffix(APP_COOKIE_SUFFIX.as_bytes()) == Some(ours)
}

/// The name behind the prefix by which browsers bind a cookie.
fn without_prefix(name: &[u8]) -> &[u8] {
    let bound = name.strip_prefix(b"__Host-").or_else(|| name.strip_prefix(b"__Secure-"));
    bound.unwrap_or(name)
}

fn port(host: &HeaderValue, tls: bool) -> HeaderValue {
    let text = host.to_str().unwrap_or_default();
    let after_name = text.rsplit_once(':').map(|(_, port)| port);
    after_name
        .filter(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|port| HeaderValue::from_str(port).ok())
        .unwrap_or(HeaderValue::from_static(if tls { "443" } else { "80" }))
}

#[cfg(test)]
mod tests;
