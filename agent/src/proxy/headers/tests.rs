//! What goes through and what stays here.

use super::*;

const BACK: Back<'_> = Back { cookie_name: "st", below: None };
use proptest::prelude::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn sent(fields: &[(&'static str, &'static str)], websocket: bool) -> HeaderMap {
    let mut headers = map(fields);
    let about = About {
        tls: true,
        peer: &HeaderValue::from_static("192.0.2.7"),
        cookie_name: "st",
        xsrf: None,
        websocket,
    };
    to_app(&mut headers, &about);
    headers
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn hop_by_hop_fields_stay_here() {
    let headers = sent(
        &[
            ("host", "vm:8443"),
            ("connection", "close, X-Mine"),
            ("connection", "host, content-length"),
            ("x-mine", "1"),
            ("keep-alive", "1"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("proxy-foo", "x"),
            ("expect", "100-continue"),
            ("x-kept", "1"),
            ("content-length", "5"),
        ],
        false,
    );
    for gone in [
        "connection",
        "x-mine",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
        "proxy-foo",
        "proxy-authorization",
        "expect",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(all(&headers, "host"), ["vm:8443"]);
    assert_eq!(all(&headers, "x-kept"), ["1"]);
    assert_eq!(all(&headers, "content-length"), ["5"]);
}

#[test]
fn a_bearer_of_ours_stays_here_and_an_apps_own_goes_through() {
    let check = |value: &'static str, through: bool| {
        let headers = sent(&[("authorization", value)], false);
        assert_eq!(headers.contains_key("authorization"), through, "{value}");
    };
    check("Bearer stn_abc", false);
    check("bearer   stn_", false);
    check("token stn_abc", false);
    check("Bearer abc", true);
    check("token abc", true);
    check("Basic c3RuXw==", true);
    check("Bearer xstn_abc", true);
    check("stn_abc", true);
    let two = [("authorization", "Basic x"), ("authorization", "Bearer stn_abc")];
    assert!(!sent(&two, false).contains_key("authorization"));
}

#[test]
fn what_the_client_says_about_itself_is_overwritten() {
    let headers = sent(
        &[
            ("host", "vm:8443"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-user", "root"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-rstudio-username", "root"),
        ],
        false,
    );
    assert_eq!(all(&headers, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(all(&headers, "x-real-ip"), ["192.0.2.7"]);
    assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&headers, "x-forwarded-host"), ["vm:8443"]);
    assert_eq!(all(&headers, "x-forwarded-port"), ["8443"]);
    for gone in ["x-forwarded-user", "forwarded", "x-rstudio-username"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
}

#[test]
fn only_our_cookie_goes() {
    let check = |fields: &[&'static str], expect: &[&str]| {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_static(field));
        }
        without_cookie(&mut headers, "st");
        assert_eq!(all(&headers, "cookie"), expect, "{fields:?}");
    };
    check(&["a=1;  b=\"2\" ;c"], &["a=1;  b=\"2\" ;c"]);
    check(&["st=x"], &[]);
    check(&["st=x; a=1"], &["a=1"]);
    check(&["a=1; st=x"], &["a=1"]);
    check(&["a=1; st=x;  b=2;st=y; st"], &["a=1;  b=2"]);
    check(&["a=1", "st=x", "stx=1"], &["a=1", "stx=1"]);
}

#[test]
fn who_comes_with_a_token_gets_the_pair_that_jupyter_compares() {
    let by_token = |fields: &[(&'static str, &'static str)]| {
        let mut headers = map(fields);
        let peer = HeaderValue::from_static("::1");
        let about = About {
            tls: false,
            peer: &peer,
            cookie_name: "st",
            xsrf: Some("ab12"),
            websocket: false,
        };
        to_app(&mut headers, &about);
        headers
    };
    let headers = by_token(&[
        ("authorization", "token stn_abc"),
        ("origin", "https://editor.example"),
        ("referer", "https://editor.example/"),
        ("x-xsrftoken", "stale"),
        ("cookie", "a=1; st-app=x"),
        ("cookie", "b=2"),
    ]);
    assert_eq!(all(&headers, "cookie"), ["a=1; b=2; _xsrf=ab12"]);
    assert_eq!(all(&headers, "x-xsrftoken"), ["ab12"]);
    for gone in ["authorization", "origin", "referer"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(all(&by_token(&[]), "cookie"), ["_xsrf=ab12"]);
    // What the app's client has of its own stays, and is completed.
    let own = by_token(&[("cookie", "a=1; _xsrf=2|x"), ("authorization", "token theirs")]);
    assert_eq!(all(&own, "cookie"), ["a=1; _xsrf=2|x"]);
    assert_eq!(all(&own, "x-xsrftoken"), ["2|x"]);
    assert_eq!(all(&own, "authorization"), ["token theirs"]);
    let both = by_token(&[("cookie", "_xsrf=2|x"), ("x-xsrftoken", "mine")]);
    assert_eq!(all(&both, "x-xsrftoken"), ["mine"]);
    // Without a token nothing is added or taken away.
    let plain = sent(&[("origin", "https://vm"), ("referer", "https://vm/")], false);
    assert_eq!((all(&plain, "origin").len(), all(&plain, "referer").len()), (1, 1));
    assert!(!plain.contains_key("cookie") && !plain.contains_key("x-xsrftoken"));
}

#[test]
fn the_cookie_of_a_token_neither_reaches_an_app_nor_is_set_by_one() {
    let ours = "__Host-stationd-abababab";
    let names = |pair: &str| names_cookie(pair.as_bytes(), ours);
    for pair in [
        "__Host-stationd-abababab=x",
        "__Secure-stationd-abababab-app=x; Path=/",
        "stationd-abababab-app",
        " stationd-abababab = x",
    ] {
        assert!(names(pair), "{pair}");
    }
    for pair in [
        "stationd-abababab-apps=x",
        "stationd-ababab-app=x",
        "a=stationd-abababab-app",
        "__Secure-stationd-abababab-app-app=x",
        "",
    ] {
        assert!(!names(pair), "{pair}");
    }
    let mut answer =
        map(&[("set-cookie", "st-app=stolen; Path=/apps/lab/"), ("set-cookie", "b=2")]);
    to_client(&mut answer, BACK, false);
    assert_eq!(all(&answer, "set-cookie"), ["b=2"]);
}

#[test]
fn a_websocket_keeps_what_it_needs() {
    let fields = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "k"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    assert!(asks_websocket(&map(&fields)));
    assert!(!asks_websocket(&map(&fields[..1])));
    let headers = sent(&fields, true);
    assert_eq!(all(&headers, "upgrade"), ["websocket"]);
    assert_eq!(all(&headers, "connection"), ["Upgrade"]);
    assert_eq!(all(&headers, "sec-websocket-extensions"), ["permessage-deflate"]);
    let mut answer = map(&[("connection", "upgrade"), ("sec-websocket-accept", "a")]);
    to_client(&mut answer, BACK, true);
    assert_eq!(all(&answer, "connection"), ["Upgrade"]);
    assert_eq!(all(&answer, "sec-websocket-accept"), ["a"]);
}

#[test]
fn answers_keep_every_set_cookie() {
    let mut answer = map(&[
        ("set-cookie", "a=1"),
        ("set-cookie", "st=stolen; Path=/"),
        ("set-cookie", "st; Path=/"),
        ("set-cookie", "b=2"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("www-authenticate", "Basic"),
    ]);
    to_client(&mut answer, BACK, false);
    assert_eq!(all(&answer, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.len(), 3);
}

#[test]
fn prefixes_are_announced() {
    let mut headers = map(&[("host", "vm:1")]);
    announce_prefix(&mut headers, "/apps/r", "/apps/r/a?b", true);
    assert_eq!(all(&headers, "x-rstudio-request"), ["https://vm:1/apps/r/a?b"]);
    assert_eq!(all(&headers, "x-rstudio-root-path"), ["/apps/r"]);
}

proptest! {
    #[test]
    fn no_named_field_and_no_hop_gets_through(
        names in proptest::collection::vec("[a-z]{1,8}", 0..8),
        named in proptest::collection::vec("[a-z]{1,8}", 0..8),
    ) {
        let mut headers = HeaderMap::new();
        for name in names.iter().chain(&named) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_static("v"));
        }
        let list = named.join(" , ");
        headers.insert(CONNECTION, HeaderValue::from_str(&list).unwrap());
        to_client(&mut headers, BACK, false);
        let kept = |name: &String| named.contains(name) || is_hop(name) || name == "host";
        for name in &names {
            if !kept(name) {
                prop_assert!(headers.contains_key(name.as_str()));
            }
        }
        for name in named.iter().filter(|name| *name != "host") {
            prop_assert!(!headers.contains_key(name.as_str()));
        }
    }

    #[test]
    fn our_cookie_never_survives(parts in proptest::collection::vec("(st|s|stx|a)(=[a-z=]{0,3})?", 0..6)) {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_str(&parts.join("; ")).unwrap());
        without_cookie(&mut headers, "st");
        let left = all(&headers, "cookie").join("; ");
        let expect: Vec<String> = parts
            .iter()
            .filter(|part| *part != "st" && !part.starts_with("st="))
            .cloned()
            .collect();
        prop_assert_eq!(left, expect.join("; "));
    }
}
