//! What is moved below the prefix, and that nothing else changes by a byte.

use proptest::prelude::*;

use super::*;

fn below() -> Below {
    let host = Some(HeaderValue::from_static("Station.example:8443"));
    Below { prefix: "/apps/r".to_owned(), host }
}

/// The one value of a field after it went to the client.
fn rewritten(name: HeaderName, value: &str) -> String {
    let mut headers = HeaderMap::new();
    headers.insert(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    to_client(&mut headers, &below());
    let value = headers.get(name).unwrap();
    String::from_utf8(value.as_bytes().to_vec()).unwrap()
}

fn table(name: &HeaderName, rows: &[(&str, &str)]) {
    for (value, expect) in rows {
        assert_eq!(rewritten(name.clone(), value), *expect, "{name}: {value}");
    }
}

fn stay(name: &HeaderName, values: &[&str]) {
    for value in values {
        assert_eq!(rewritten(name.clone(), value), *value, "{name}");
    }
}

#[test]
fn addresses_of_the_app_come_below_its_prefix() {
    let rows = [
        ("/", "/apps/r/"),
        ("/a/b?c=/d#e", "/apps/r/a/b?c=/d#e"),
        ("/apps/rx", "/apps/r/apps/rx"),
        ("/apps", "/apps/r/apps"),
        ("http://station.EXAMPLE:8443/a?b#c", "/apps/r/a?b#c"),
        ("https://station.example:8443", "/apps/r/"),
        ("https://station.example:8443?a", "/apps/r/?a"),
        ("https://station.example:8443/apps/r/a", "/apps/r/a"),
        ("//station.example:8443/a", "/apps/r/a"),
        ("HTTP://localhost/a", "/apps/r/a"),
        ("http://localhost:8787/apps/r?x", "/apps/r?x"),
        ("http://127.0.0.1:8787#x", "/apps/r/#x"),
        ("http://0.0.0.0:7860/", "/apps/r/"),
        ("http://[::1]:1/x", "/apps/r/x"),
    ];
    table(&LOCATION, &rows);
    table(&CONTENT_LOCATION, &rows);
}

#[test]
fn other_addresses_stay() {
    let values = [
        "",
        "a/b",
        "./",
        "../x",
        "?a",
        "#a",
        "/apps/r",
        "/apps/r/",
        "/apps/r?x",
        "https://elsewhere.example/",
        "https://station.example/",
        "https://station.example:8444/",
        "https://station.example:8443@elsewhere.example/",
        "https://localhost.example/",
        "http://localhost:80x/",
        "http://user@localhost/",
        "//elsewhere.example/x",
        "ftp://localhost/x",
        "mailto:ada@localhost",
    ];
    stay(&LOCATION, &values);
    stay(&CONTENT_LOCATION, &values);
}

#[test]
fn a_port_that_goes_without_saying_may_be_said() {
    let named =
        |host| Below { prefix: "/apps/r".to_owned(), host: Some(HeaderValue::from_static(host)) };
    let moved = |host, url: &str| named(host).url(url.as_bytes()).is_some();
    assert!(moved("a.example", "https://a.example:443/"));
    assert!(moved("a.example:80", "http://a.example/"));
    assert!(!moved("a.example", "https://a.example:80/"));
    assert!(!Below { host: None, ..below() }.is_app(Scheme::Http, b""));
}

#[test]
fn a_refresh_keeps_its_time_and_its_quotes() {
    let rows = [
        ("5; url=/a", "5; url=/apps/r/a"),
        ("0;URL = '/a' ; x", "0;URL = '/apps/r/a' ; x"),
        ("1.5,url=\"http://localhost/a;b\"", "1.5,url=\"/apps/r/a;b\""),
        ("5; url=\"/open", "5; url=\"/apps/r/open"),
    ];
    table(&REFRESH, &rows);
    let values =
        ["5", "5; /a", "5; url", "5; url=", "5; url=a", "5; url=/apps/r/a", "5; curl=/a", ""];
    stay(&REFRESH, &values);
}

#[test]
fn cookies_are_bound_to_the_prefix() {
    let rows = [
        ("a=b; Path=/", "a=b; Path=/apps/r/"),
        ("a=b;path = /x ; HttpOnly", "a=b;path = /apps/r/x ; HttpOnly"),
        ("a=/;Secure;PATH=/;Path=/y", "a=/;Secure;PATH=/apps/r/;Path=/apps/r/y"),
        ("a=b; Domain=localhost; Path=/apps/r", "a=b; Path=/apps/r"),
        ("a=b; domain=.LOCALHOST", "a=b"),
        ("a=b; Secure; Domain=127.0.0.1 ;SameSite=Lax", "a=b; Secure;SameSite=Lax"),
        ("__Host-a=b; Path=/; Domain=localhost", "__Host-a=b; Path=/"),
    ];
    table(&SET_COOKIE, &rows);
    let values = [
        "a=b",
        "a=Path=/",
        "a=b; Path",
        "a=b; Path=",
        "a=b; Path=x",
        "a=b; Path=\"/\"",
        "a=b; Path=/apps/r",
        "a=b; Path=/apps/r/x",
        "a=b; Domain=station.example",
        "__Host-a=b; Path=/; Secure",
        "",
        ";;",
    ];
    stay(&SET_COOKIE, &values);
}

#[test]
fn several_cookies_stay_several_and_in_order() {
    let mut headers = HeaderMap::new();
    for cookie in ["a=1; Path=/", "b=2", "a=3; Path=/x"] {
        headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
    }
    to_client(&mut headers, &below());
    let all: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(all, ["a=1; Path=/apps/r/", "b=2", "a=3; Path=/apps/r/x"]);
}

#[test]
fn bytes_that_are_no_text_go_through() {
    let value = HeaderValue::from_bytes(b"/\xff?\xe4").unwrap();
    let mut headers = HeaderMap::from_iter([(LOCATION, value)]);
    to_client(&mut headers, &below());
    assert_eq!(headers[LOCATION].as_bytes(), b"/apps/r/\xff?\xe4");
}

const NAMES: [HeaderName; 4] = [LOCATION, CONTENT_LOCATION, REFRESH, SET_COOKIE];

/// Values made of the parts that matter here.
fn value() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "/",
        "/apps/r",
        "a",
        "http://",
        "https://",
        "//",
        "localhost",
        ":80",
        "127.0.0.1",
        "station.example:8443",
        "?",
        "#",
        "; ",
        ";",
        "Path=",
        "path =",
        "Domain=",
        "url=",
        "URL =",
        "'",
        "\"",
        " ",
        "5",
        ",",
        "__Host-a",
        "=",
        "elsewhere.example",
        "\\",
        "..",
    ]);
    prop::collection::vec(part, 0..9).prop_map(|parts| parts.concat().trim().to_owned())
}

proptest! {
    #[test]
    fn twice_is_the_same_as_once(name in prop::sample::select(NAMES.to_vec()), value in value()) {
        let once = rewritten(name.clone(), &value);
        prop_assert_eq!(rewritten(name, &once), once);
    }

    #[test]
    fn what_names_no_root_and_no_host_keeps_its_bytes(
        name in prop::sample::select(NAMES.to_vec()),
        value in "[ -.0-~]{0,60}",
    ) {
        prop_assume!(!value.to_ascii_lowercase().contains("domain"));
        prop_assert_eq!(rewritten(name, value.trim()), value.trim());
    }

    #[test]
    fn other_hosts_keep_their_bytes(
        host in "[a-z]{1,9}\\.example(:[0-9]{1,4})?",
        rest in "(/[!-~]{0,40})?",
    ) {
        prop_assume!(host != "station.example:8443");
        for scheme in ["http://", "https://", "//"] {
            let url = format!("{scheme}{host}{rest}");
            prop_assert_eq!(rewritten(LOCATION, &url), url);
        }
    }

    #[test]
    fn other_attributes_of_a_cookie_keep_their_bytes(
        before in "[a-z]{1,5}=[!-+./0-:<-~]{0,20}(;[ ]?(Secure|Max-Age=1|x=/))?",
        after in "(;[ ]?(HttpOnly|SameSite=Lax|y=/))?",
    ) {
        let cookie = format!("{before}; Path=/{after}");
        prop_assert_eq!(
            rewritten(SET_COOKIE, &cookie),
            format!("{before}; Path=/apps/r/{after}")
        );
    }
}
