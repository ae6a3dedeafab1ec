//! Reads and checks `[listen]`: the part that decides who can reach stationd. Pure.
//!
//! It is read on its own, so that the heartbeat can be served while other parts are wrong.

pub(super) mod control;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::model::{Listen, Tls};
use super::parts::{Facts, absolute_path};
use super::reader::tree::Spot;
use super::reader::{Found, Mistakes, Reader};
use super::schema;

/// Names and origins in one list.
const LIST_MAX: usize = 64;

/// The word behind `tls = …`, before its files are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsWord {
    Off,
    SelfSigned,
    Files,
}

/// Reads `[listen]`; `override_address` is the value of `STATIOND_LISTEN`.
pub(super) fn read(
    root: &Reader<'_>,
    override_address: Option<&str>,
    mistakes: &Mistakes,
    facts: &dyn Facts,
) -> Listen {
    let part = root.part("listen");
    let (surely_off, tls) = read_tls(&part, facts);
    let in_file = part.text("address").and_then(|found| {
        let address = parse_address(&found)?;
        if address.value.port() == 0 {
            found.wrong(
                "port 0 would be another port after every start",
                "choose a port, such as 8710",
            );
            return None;
        }
        Some(address)
    });
    let address = match override_address {
        Some(text) => from_environment(text, mistakes),
        None => in_file,
    };
    if let Some(address) = &address
        && surely_off
        && !address.value.ip().to_canonical().is_loopback()
    {
        address.wrong(
            format!("{} can be reached from other machines, and tls is off", address.value),
            "set tls = \"self-signed\" or \"files\" in [listen], or listen on 127.0.0.1",
        );
    }
    let default = SocketAddr::from(([127, 0, 0, 1], 8710));
    Listen {
        address: address.map_or(default, |address| address.value),
        hosts: read_list(&part, "hosts", host),
        public_url: read_public_url(&part, &tls),
        tls,
        allowed_origins: read_list(&part, "allowed_origins", |text| {
            origin(text)
                .map_err(|why| (why, "write it as \"https://host\" or \"https://host:port\""))
        }),
    }
}

fn from_environment<'a>(text: &str, mistakes: &'a Mistakes) -> Option<Found<'a, SocketAddr>> {
    let at = Spot { file: Arc::from("environment"), line: None };
    parse_address(&Found::new(text.to_owned(), at, "STATIOND_LISTEN", mistakes))
}

fn parse_address<'a>(found: &Found<'a, String>) -> Option<Found<'a, SocketAddr>> {
    if let Ok(address) = found.value.parse() {
        return Some(found.with(address));
    }
    found.wrong(
        format!("{:?} is not an address and a port", found.value),
        "write an IP address and a port, such as \"127.0.0.1:8710\" or \"[::1]:8710\"",
    );
    None
}

/// Also says whether TLS is meant to be off: a misspelt word is no wish to have it off.
fn read_tls(part: &Reader<'_>, facts: &dyn Facts) -> (bool, Tls) {
    debug_assert_eq!(schema::default_text("listen.tls"), "off");
    let words =
        [("off", TlsWord::Off), ("self-signed", TlsWord::SelfSigned), ("files", TlsWord::Files)];
    let word = part.word("tls", &words);
    let unreadable = part.has("tls") && word.is_none();
    let files = word.as_ref().is_some_and(|word| word.value == TlsWord::Files);
    let certificate = tls_file(part, "tls_certificate", files, facts);
    let key = tls_file(part, "tls_key", files, facts);
    if !files && !unreadable {
        for name in ["tls_certificate", "tls_key"] {
            if let Some(found) = part.text(name) {
                found.wrong(
                    "has no effect without tls = \"files\"",
                    "set tls = \"files\" in [listen], or remove it",
                );
            }
        }
    }
    let tls = match (word.as_ref().map(|word| word.value), certificate, key) {
        (Some(TlsWord::Files), Some(certificate), Some(key)) => Tls::Files { certificate, key },
        (Some(TlsWord::Files | TlsWord::SelfSigned), ..) => Tls::SelfSigned,
        _ => Tls::Off,
    };
    (tls == Tls::Off && !unreadable, tls)
}

/// A file of `tls = "files"`; its absence is a mistake only there.
fn tls_file(part: &Reader<'_>, name: &str, wanted: bool, facts: &dyn Facts) -> Option<PathBuf> {
    if !wanted {
        return None;
    }
    let found = part.text_required(name, "name the PEM file with its absolute path")?;
    let path = absolute_path(&found)?;
    if facts.missing(&path) {
        found.wrong(
            format!("there is no file {}", path.display()),
            "put the PEM file there, or correct the path",
        );
        return None;
    }
    Some(path)
}

fn read_public_url(part: &Reader<'_>, tls: &Tls) -> Option<String> {
    let found = part.text("public_url")?;
    match origin(without_slash(&found.value)) {
        Ok(url) => {
            // The other way round is right: a proxy in front may end TLS.
            if *tls != Tls::Off && url.starts_with("http://") {
                found.wrong(
                    "begins with http://, and tls is on",
                    "begin it with https://, or set tls = \"off\" in [listen]",
                );
            }
            Some(url)
        }
        Err(why) => {
            found.wrong(
                why,
                "write it as \"https://host\" or \"https://host:port\", without a path",
            );
            None
        }
    }
}

/// The root path says nothing, and browsers show it.
fn without_slash(url: &str) -> &str {
    let shorter = url.strip_suffix('/').filter(|url| !url.ends_with('/'));
    shorter.unwrap_or(url)
}

fn read_list(
    part: &Reader<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<String, (String, &'static str)>,
) -> Vec<String> {
    let texts = part.texts(key).unwrap_or_default();
    if let Some(over) = texts.get(LIST_MAX) {
        over.wrong(format!("has more than {LIST_MAX} entries"), format!("keep {LIST_MAX} at most"));
    }
    let mut list: Vec<String> = Vec::new();
    for found in texts.iter().take(LIST_MAX) {
        match parse(&found.value) {
            Ok(text) if list.contains(&text) => {}
            Ok(text) => list.push(text),
            Err((problem, remedy)) => found.wrong(problem, remedy),
        }
    }
    list
}

/// A host name or IP address, in lower case.
fn host(text: &str) -> Result<String, (String, &'static str)> {
    let fail = |why: &str, remedy| Err((format!("{text:?} {why}"), remedy));
    if text.contains('*') {
        return fail("holds a wildcard", "name every host in full");
    }
    if text.contains("://") || text.contains('/') {
        return fail("is a URL", "write the host name alone, such as \"box.example.com\"");
    }
    let bare = text.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(bare.to_ascii_lowercase());
    }
    if text.contains(':') {
        return fail("holds a port", "leave the port out: every port is accepted");
    }
    if !host_name(text) {
        return fail("is not a host name", "use letters, digits, '-', '_' and '.'");
    }
    Ok(text.to_ascii_lowercase())
}

fn host_name(text: &str) -> bool {
    let plain = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(plain)
}

/// `scheme://host[:port]` in lower case, a port only where it is not the scheme's own; as
/// browsers write the `Origin` header.
fn origin(text: &str) -> Result<String, String> {
    let fail = |why: &str| Err(format!("{text:?} {why}"));
    let lower = text.to_ascii_lowercase();
    let (scheme, authority, own_port) = if let Some(rest) = lower.strip_prefix("https://") {
        ("https", rest, 443)
    } else if let Some(rest) = lower.strip_prefix("http://") {
        ("http", rest, 80)
    } else {
        return fail("does not begin with http:// or https://");
    };
    if authority.contains('@') {
        return fail("holds a user name");
    }
    if authority.contains(['/', '?', '#', '\\']) {
        return fail("holds more than a scheme, a host and a port");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = v6.map_or_else(|| host_name(host), |v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    if !valid {
        return fail("has no valid host");
    }
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port {
        None => Ok(format!("{scheme}://{host}")),
        Some(port) if digits(port) => match port.parse::<u16>() {
            Ok(number) if number == own_port => Ok(format!("{scheme}://{host}")),
            Ok(number) if number > 0 => Ok(format!("{scheme}://{host}:{number}")),
            _ => fail("has no valid port"),
        },
        Some(_) => fail("has no valid port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_in_the_form_of_browsers() {
        for (text, expected) in [
            ("https://a.example", Some("https://a.example")),
            ("HTTPS://A.Example:443", Some("https://a.example")),
            ("http://a:80", Some("http://a")),
            ("http://a:443", Some("http://a:443")),
            ("https://a:8443", Some("https://a:8443")),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("https://[::1]", Some("https://[::1]")),
            ("http://127.0.0.1:8710", Some("http://127.0.0.1:8710")),
            ("https://", None),
            ("https://a:", None),
            ("https://a:0", None),
            ("https://a:65536", None),
            ("https://a:+1", None),
            ("https://u@a", None),
            ("https://a/b", None),
            ("https://a?b", None),
            ("https://a#b", None),
            ("https://a b", None),
            ("https://[::g]", None),
            ("https://*.a", None),
            ("ftp://a", None),
            ("a.example", None),
            ("null", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(origin(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("Box.Example.com", Some("box.example.com")),
            ("10.0.0.7", Some("10.0.0.7")),
            ("::1", Some("::1")),
            ("[FE80::1]", Some("fe80::1")),
            ("my_box", Some("my_box")),
            ("", None),
            ("a..b", None),
            ("*.example.com", None),
            ("https://a", None),
            ("a:8710", None),
            ("a b", None),
        ] {
            assert_eq!(host(text).ok().as_deref(), expected, "{text}");
        }
    }
}
