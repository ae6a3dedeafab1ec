//! Brings the addresses in an app's answer below `/apps/NAME`, for apps that do not know that they
//! live there. Pure.
//!
//! Only what a browser follows or stores before it sees the body: `Location`, `Content-Location`,
//! `Refresh` and the `Path` of cookies. Bodies stay as they are. What is not about this app keeps
//! its bytes, and an address that is already below the prefix is left alone, so that an app that
//! reads `X-Forwarded-Prefix` after all is not moved twice.

use http::header::{CONTENT_LOCATION, Entry, HeaderName, LOCATION, REFRESH, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Where an app lives, as its client sees it.
#[derive(Debug, Clone)]
pub struct Below {
    /// `/apps/NAME`, without a slash at the end.
    pub prefix: String,
    /// The `Host` of the request: the app may call itself by it.
    pub host: Option<HeaderValue>,
}

/// What an app that does not look at `Host` calls itself: names of its own machine, which mean
/// another one to the browser. With any port, because the port is the app's own affair.
const ITSELF: [&[u8]; 4] = [b"localhost", b"127.0.0.1", b"0.0.0.0", b"[::1]"];

/// Cookies with this prefix are refused by browsers with any `Path` but `/`.
const HOST_COOKIE: &[u8] = b"__host-";

/// Rewrites what an app says about addresses.
pub fn to_client(headers: &mut HeaderMap, below: &Below) {
    each(headers, LOCATION, |value| below.url(value));
    each(headers, CONTENT_LOCATION, |value| below.url(value));
    each(headers, REFRESH, |value| below.refresh(value));
    each(headers, SET_COOKIE, |value| below.cookie(value));
}

/// Changes the values of one field in their places: repeated fields stay repeated and in order.
fn each(headers: &mut HeaderMap, name: HeaderName, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    if let Entry::Occupied(mut values) = headers.entry(name) {
        for value in values.iter_mut() {
            let changed = change(value.as_bytes()).and_then(|new| HeaderValue::try_from(new).ok());
            if let Some(changed) = changed {
                *value = changed;
            }
        }
    }
}

impl Below {
    /// The address below the prefix; none if it stays as it is.
    fn url(&self, url: &[u8]) -> Option<Vec<u8>> {
        let (rest, foreign) = match split(url) {
            Some((scheme, authority, rest)) => (rest, !self.is_app(scheme, authority)),
            None => (url, !url.starts_with(b"/")),
        };
        if foreign {
            return None;
        }
        let moved = self.path(rest);
        (moved != url).then_some(moved)
    }

    /// A path with its query on our prefix.
    fn path(&self, path: &[u8]) -> Vec<u8> {
        let prefix = self.prefix.as_bytes();
        if self.covers(path) {
            return path.to_vec();
        }
        let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
        [prefix, slash, path].concat()
    }

    fn covers(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.prefix.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
    }

    /// Whether an absolute URL means the app: by the name that the client uses for us, or by one
    /// that it gives itself.
    fn is_app(&self, scheme: Scheme, authority: &[u8]) -> bool {
        let host = self.host.as_ref().map(HeaderValue::as_bytes).filter(|host| !host.is_empty());
        let same = |host: &[u8]| {
            scheme.without_port(host).eq_ignore_ascii_case(scheme.without_port(authority))
        };
        host.is_some_and(same) || is_itself(authority)
    }

    /// `5; url=/x`: the address alone changes, what stands around it stays.
    fn refresh(&self, value: &[u8]) -> Option<Vec<u8>> {
        let at = url_in_refresh(value)?;
        let (before, url) = value.split_at_checked(at)?;
        let quote = url.first().copied().filter(|first| matches!(first, b'"' | b'\''));
        let (open, url) = url.split_at_checked(usize::from(quote.is_some()))?;
        let end = quote.and_then(|quote| url.iter().position(|byte| *byte == quote));
        let (url, after) = url.split_at_checked(end.unwrap_or(url.len()))?;
        Some([before, open, &self.url(url)?, after].concat())
    }

    fn cookie(&self, cookie: &[u8]) -> Option<Vec<u8>> {
        let mut parts = cookie.split(|byte| *byte == b';');
        let pair = parts.next()?;
        let start = pair.trim_ascii_start().get(..HOST_COOKIE.len());
        let fixed = start.is_some_and(|start| start.eq_ignore_ascii_case(HOST_COOKIE));
        let mut all = pair.to_vec();
        for part in parts {
            let (name, value) = attribute(part);
            if name.eq_ignore_ascii_case(b"domain") && names_itself(value) {
                continue;
            }
            all.push(b';');
            let path = name.eq_ignore_ascii_case(b"path") && value.starts_with(b"/");
            if path && !fixed && !self.covers(value) {
                let padding = part.len() - part.trim_ascii_end().len();
                let (part, padding) = part.split_at_checked(part.len() - padding)?;
                all.extend_from_slice(part.strip_suffix(value)?);
                all.extend_from_slice(&self.path(value));
                all.extend_from_slice(padding);
            } else {
                all.extend_from_slice(part);
            }
        }
        (all != cookie).then_some(all)
    }
}

#[derive(Debug, Clone, Copy)]
enum Scheme {
    Http,
    Https,
    /// `//host/…`: whatever the page has.
    Same,
}

impl Scheme {
    /// An authority without the port that goes without saying.
    fn without_port(self, authority: &[u8]) -> &[u8] {
        let plain = |port: &[u8]| authority.strip_suffix(port);
        let bare = match self {
            Self::Http => plain(b":80"),
            Self::Https => plain(b":443"),
            Self::Same => plain(b":80").or_else(|| plain(b":443")),
        };
        bare.unwrap_or(authority)
    }
}

/// Scheme, authority and the rest of an absolute URL; none for a path.
fn split(url: &[u8]) -> Option<(Scheme, &[u8], &[u8])> {
    let (scheme, rest) = if let Some(rest) = url.strip_prefix(b"//") {
        (Scheme::Same, rest)
    } else {
        let (scheme, rest) = url.split_at_checked(url.iter().position(|byte| *byte == b':')?)?;
        let rest = rest.strip_prefix(b"://")?;
        match scheme {
            _ if scheme.eq_ignore_ascii_case(b"http") => (Scheme::Http, rest),
            _ if scheme.eq_ignore_ascii_case(b"https") => (Scheme::Https, rest),
            _ => return None,
        }
    };
    let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
    let (authority, rest) =
        rest.split_at_checked(rest.iter().position(ends).unwrap_or(rest.len()))?;
    Some((scheme, authority, rest))
}

fn is_itself(authority: &[u8]) -> bool {
    ITSELF.iter().any(|name| {
        let start = authority.get(..name.len());
        let port = authority.get(name.len()..).unwrap_or_default();
        let digits = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
            && (port.is_empty() || port.strip_prefix(b":").is_some_and(digits))
    })
}

/// Whether a cookie's `Domain` is a name that the app gives itself; browsers ignore a first dot.
fn names_itself(domain: &[u8]) -> bool {
    let domain = domain.strip_prefix(b".").unwrap_or(domain);
    ITSELF.iter().any(|name| name.eq_ignore_ascii_case(domain))
}

/// Name and value of a cookie's attribute, without the blanks around them.
fn attribute(part: &[u8]) -> (&[u8], &[u8]) {
    let at = part.iter().position(|byte| *byte == b'=').unwrap_or(part.len());
    let (name, value) = part.split_at_checked(at).unwrap_or((part, b""));
    (name.trim_ascii(), value.strip_prefix(b"=").unwrap_or_default().trim_ascii())
}

/// Where the address begins in `5; url=…`.
fn url_in_refresh(value: &[u8]) -> Option<usize> {
    let seconds = value.iter().position(|byte| matches!(byte, b';' | b','))?;
    let after = value.get(seconds + 1..)?.trim_ascii_start();
    let (word, after) = after.split_at_checked(3)?;
    let after = after.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    word.eq_ignore_ascii_case(b"url").then(|| value.len() - after.len())
}

#[cfg(test)]
mod tests;
