//! What a browser sees of RStudio Server's address, from what the proxy says. No I/O.
//!
//! The order of the real server: `X-RStudio-Root-Path` before `--www-root-path`; for the address,
//! `X-RStudio-Request` as it is, else `Forwarded`, else `X-Forwarded-Proto`, `-Host` and `-Port`,
//! else `Host`. Redirects are absolute, so a proxy that says the wrong thing sends its user away.

use http::HeaderMap;

use super::field;

/// The prefix: begins with a slash, ends with none; `/` if there is no other.
pub fn root_path(headers: &HeaderMap, option: &str) -> String {
    let said = field(headers, "x-rstudio-root-path");
    let path = if said.is_empty() { option } else { said };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if path.len() > 1 { path.strip_suffix('/').unwrap_or(&path).to_owned() } else { path }
}

/// The URL that stands in the browser for the request of `uri`.
pub fn seen(headers: &HeaderMap, option: &str, uri: &str) -> String {
    let request = field(headers, "x-rstudio-request");
    if !request.is_empty() {
        return request.to_owned();
    }
    let root = root_path(headers, option);
    let path = format!("{}{uri}", root.strip_suffix('/').unwrap_or(&root));
    let forwarded = field(headers, "forwarded");
    if !forwarded.is_empty() {
        let scheme = parameter(forwarded, "proto").unwrap_or("http");
        let host = parameter(forwarded, "host").unwrap_or_default();
        return format!("{scheme}://{host}{path}");
    }
    // As it came: of `https,http` no browser makes a URL.
    let scheme = field(headers, "x-forwarded-proto");
    let scheme = if scheme.is_empty() { "http" } else { scheme };
    let host = field(headers, "x-forwarded-host");
    if host.is_empty() {
        return format!("{scheme}://{}{path}", field(headers, "host"));
    }
    let port = field(headers, "x-forwarded-port");
    if port.is_empty() {
        return format!("{scheme}://{host}{path}");
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    format!("{scheme}://{name}:{port}{path}")
}

/// `to` (`/s/…`) as the browser has to ask for it after `uri`.
pub fn location(headers: &HeaderMap, option: &str, uri: &str, to: &str) -> String {
    let seen = seen(headers, option, uri);
    let start = seen.find("://").map_or(0, |at| at + 3);
    let (origin, path) = match seen.get(start..).and_then(|rest| rest.find('/')) {
        Some(slash) => seen.split_at(start + slash),
        None => (seen.as_str(), ""),
    };
    let root = root_path(headers, option);
    let prefix = path.strip_suffix(uri).unwrap_or(root.strip_suffix('/').unwrap_or(&root));
    format!("{origin}{prefix}{to}")
}

pub fn is_secure(headers: &HeaderMap, option: &str, uri: &str) -> bool {
    seen(headers, option, uri).starts_with("https://")
}

fn parameter<'a>(forwarded: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = forwarded.split_once(&format!("{name}="))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:".contains(c);
    after.split(|c| !allowed(c)).next().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    const ROOT: (&str, &str) = ("x-rstudio-root-path", "/apps/r");
    const REQUEST: (&str, &str) = ("x-rstudio-request", "https://node.example/apps/r/?a");
    const FORWARDED: (&str, &str) = ("forwarded", "for=1;host=f.example:1;proto=https");
    const PROTO: (&str, &str) = ("x-forwarded-proto", "https");
    const HOST: (&str, &str) = ("x-forwarded-host", "x.example:9");
    const PORT: (&str, &str) = ("x-forwarded-port", "8443");

    #[test]
    fn what_is_said_best_wins() {
        let rows: [(&[_], &str); 8] = [
            (&[], "http://own/opt/s/1/"),
            (&[ROOT], "http://own/apps/r/s/1/"),
            (&[PROTO], "https://own/opt/s/1/"),
            (&[ROOT, PROTO, HOST], "https://x.example:9/apps/r/s/1/"),
            (&[HOST, PORT], "http://x.example:8443/opt/s/1/"),
            (&[ROOT, PROTO, HOST, FORWARDED], "https://f.example:1/apps/r/s/1/"),
            (&[ROOT, HOST, FORWARDED, REQUEST], "https://node.example/apps/r/s/1/"),
            (&[REQUEST], "https://node.example/apps/r/s/1/"),
        ];
        for (fields, expect) in rows {
            let mut all = headers(fields);
            all.insert("host", HeaderValue::from_static("own"));
            assert_eq!(location(&all, "/opt/", "/?a", "/s/1/"), expect, "{fields:?}");
        }
    }

    #[test]
    fn a_root_path_begins_with_a_slash_and_ends_with_none() {
        for (option, expect) in [("", "/"), ("/", "/"), ("a/", "/a"), ("/a/b", "/a/b")] {
            assert_eq!(root_path(&HeaderMap::new(), option), expect, "{option}");
        }
    }

    #[test]
    fn two_hops_that_both_name_the_scheme_lead_nowhere() {
        let all = headers(&[("x-forwarded-proto", "https,http"), ("host", "own")]);
        assert_eq!(location(&all, "/", "/", "/s/1/"), "https,http://own/s/1/");
    }
}
