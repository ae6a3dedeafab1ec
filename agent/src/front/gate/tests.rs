//! Every combination of policy, method, upgrade, credential, Origin and Host against rules that
//! are written down a second time, as statements about the answer instead of steps towards it.

use super::*;

const HOST: &str = "station.example:8443";

fn names() -> Names {
    Names {
        hosts: vec!["station.example".into(), "other.example:99".into()],
        public_origin: Some("https://public.example".into()),
        allowed_origins: vec!["https://friend.example".into()],
    }
}

const API_READ: Policy = Policy::Api { session_may: true, action: "computes/read" };
const API_POWER: Policy = Policy::Api { session_may: false, action: "computes/stop/action" };
const POLICIES: [Policy; 6] =
    [Policy::Open, Policy::Visit, Policy::Session, Policy::App, API_READ, API_POWER];
const COOKIES: [Cookie; 5] = [
    Cookie::Absent,
    Cookie::Twice,
    Cookie::Unknown,
    Cookie::Known { assigned: false },
    Cookie::Known { assigned: true },
];
const BEARERS: [Bearer; 4] =
    [Bearer::Absent, Bearer::Unknown, Bearer::Known { may: false }, Bearer::Known { may: true }];
const APP_COOKIES: [AppCookie; 5] = [
    AppCookie::Absent,
    AppCookie::Twice,
    AppCookie::Unknown,
    AppCookie::Known { may: false },
    AppCookie::Known { may: true },
];
const ORIGINS: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("null"),
    Some("https://station.example:8443"),
    Some("http://station.example:8443"),
    Some("https://station.example"),
    Some("https://evil.example"),
    Some("https://friend.example"),
];
const SITES: [Option<&str>; 6] =
    [None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"), Some("")];
/// `Sec-Fetch-Mode` and `Sec-Fetch-Dest`: none, a link, a frame, an image, a script's fetch.
const FETCHES: [(Option<&str>, Option<&str>); 5] = [
    (None, None),
    (Some("navigate"), Some("document")),
    (Some("navigate"), Some("iframe")),
    (Some("no-cors"), Some("image")),
    (Some("cors"), Some("empty")),
];
const HOSTS: [&str; 6] =
    [HOST, "evil.example", "station.example.evil.example", "station.example.", "", "10.0.0.1"];

fn each(mut visit: impl FnMut(Policy, &Facts<'_>)) {
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::PUT];
    let tokens = || BEARERS.iter().flat_map(|b| APP_COOKIES.iter().map(move |a| (*b, *a)));
    let credentials = || COOKIES.iter().flat_map(|c| tokens().map(move |(b, a)| (*c, b, a)));
    let senders = || ORIGINS.iter().flat_map(|o| SITES.iter().map(move |s| (*o, *s)));
    let kinds = || FETCHES.iter().flat_map(|f| [(f, false), (f, true)]);
    for (policy, method) in POLICIES.iter().flat_map(|p| methods.iter().map(move |m| (*p, m))) {
        for (cookie, bearer, app_cookie) in credentials() {
            for (origin, fetch_site) in senders() {
                for (&(fetch_mode, fetch_dest), upgrade) in kinds() {
                    for host in HOSTS {
                        let facts = Facts {
                            method,
                            upgrade,
                            tls: true,
                            host,
                            origin,
                            fetch_site,
                            fetch_mode,
                            fetch_dest,
                            cookie,
                            bearer,
                            app_cookie,
                        };
                        visit(policy, &facts);
                    }
                }
            }
        }
    }
}

#[test]
fn the_matrix() {
    let (mut seen, mut passed) = (0_u32, 0_u32);
    let names = names();
    each(|policy, facts| {
        seen += 1;
        let verdict = decide(policy, facts, &names);
        if let Ok(via) = verdict {
            passed += 1;
            holds_when_passed(policy, facts, via);
        }
        if facts.host != HOST {
            assert_eq!(verdict, Err(Refusal::UnknownHost), "{facts:?}");
        }
        if should_pass(policy, facts) {
            assert!(verdict.is_ok(), "{policy:?} {facts:?} {verdict:?}");
        }
    });
    assert!(seen > 50_000 && passed > 1_000, "{seen} {passed}");
}

fn holds_when_passed(policy: Policy, facts: &Facts<'_>, via: Via) {
    let at = format!("{policy:?} {facts:?}");
    let session = matches!(facts.cookie, Cookie::Known { .. });
    let token = facts.bearer == Bearer::Known { may: true };
    match via {
        Via::Nobody => assert!(matches!(policy, Policy::Open | Policy::Visit), "{at}"),
        Via::Cookie => assert!(session && policy != API_POWER, "{at}"),
        Via::AppCookie => {
            assert!(!session && facts.app_cookie == AppCookie::Known { may: true }, "{at}");
            // Whoever shows a token is judged by it.
            assert!(matches!(facts.bearer, Bearer::Absent | Bearer::Unknown), "{at}");
        }
        Via::Bearer => assert!(token, "{at}"),
        Via::Certificate => panic!("the public listener asks for none: {at}"),
    }
    if policy == Policy::App && via == Via::Cookie {
        assert_eq!(facts.cookie, Cookie::Known { assigned: true }, "{at}");
    }
    if !matches!(policy, Policy::Open | Policy::Visit) {
        assert_ne!(facts.cookie, Cookie::Twice, "{at}");
    }
    let own = facts.origin == Some("https://station.example:8443");
    let friend = facts.origin == Some("https://friend.example");
    if via != Via::Bearer && facts.upgrade {
        assert!(own || friend, "{at}");
    }
    let unsafe_method = !matches!(*facts.method, Method::GET | Method::HEAD);
    if via != Via::Bearer && unsafe_method && !friend {
        assert!(
            match facts.fetch_site {
                Some(site) => site == "same-origin" || site == "none",
                None => own || facts.origin.is_none(),
            },
            "{at}"
        );
    }
    if via != Via::Bearer && !unsafe_method && !facts.upgrade && !friend && policy != Policy::Open {
        let own_doing = matches!(facts.fetch_site, None | Some("same-origin" | "none"));
        let link = (facts.fetch_mode, facts.fetch_dest) == (Some("navigate"), Some("document"));
        assert!(own_doing || link, "{at}");
    }
}

/// What must never be refused.
fn should_pass(policy: Policy, facts: &Facts<'_>) -> bool {
    let own = facts.origin == Some("https://station.example:8443");
    let browser = own && facts.fetch_site == Some("same-origin");
    let person = facts.cookie == Cookie::Known { assigned: true };
    let token = facts.cookie == Cookie::Absent && facts.bearer == Bearer::Known { may: true };
    // The gate is told of it only where an app is asked for.
    let app_cookie = matches!(facts.cookie, Cookie::Absent | Cookie::Unknown)
        && facts.bearer == Bearer::Absent
        && facts.app_cookie == AppCookie::Known { may: true };
    let open = matches!(policy, Policy::Open | Policy::Visit);
    // From a mail or a chat: no Origin, another site, a whole page.
    let link = *facts.method == Method::GET
        && !facts.upgrade
        && facts.origin.is_none()
        && (facts.fetch_mode, facts.fetch_dest) == (Some("navigate"), Some("document"));
    facts.host == HOST
        && ((person && (browser || link) && policy != API_POWER)
            || (token && !open)
            || (app_cookie && (browser || link) && !open)
            || ((browser || link) && open))
}

fn facts<'a>(method: &'a Method, host: &'a str) -> Facts<'a> {
    Facts {
        method,
        upgrade: false,
        tls: false,
        host,
        origin: None,
        fetch_site: None,
        fetch_mode: None,
        fetch_dest: None,
        cookie: Cookie::Absent,
        bearer: Bearer::Absent,
        app_cookie: AppCookie::Absent,
    }
}

#[test]
fn a_session_goes_first_and_a_refusal_says_what_to_do() {
    let asked = |cookie, bearer, app_cookie| {
        let asked = facts(&Method::GET, "localhost");
        decide(Policy::App, &Facts { cookie, bearer, app_cookie, ..asked }, &names())
    };
    let (session, none) = (Cookie::Known { assigned: true }, Cookie::Absent);
    let (may, may_not) = (Bearer::Known { may: true }, Bearer::Known { may: false });
    let stands = AppCookie::Known { may: true };
    let stands_elsewhere = AppCookie::Known { may: false };
    assert_eq!(asked(session, may, stands), Ok(Via::Cookie));
    assert_eq!(asked(Cookie::Unknown, may, stands), Ok(Via::Bearer));
    assert_eq!(asked(none, may_not, stands), Err(Refusal::TokenMayNot));
    assert_eq!(asked(none, Bearer::Unknown, stands), Ok(Via::AppCookie));
    assert_eq!(asked(none, Bearer::Absent, stands_elsewhere), Err(Refusal::TokenMayNot));
    assert_eq!(asked(none, Bearer::Absent, AppCookie::Twice), Err(Refusal::TwoCookies));
    assert_eq!(asked(none, Bearer::Absent, AppCookie::Unknown), Err(Refusal::UnknownToken));
    assert_eq!(asked(none, Bearer::Unknown, AppCookie::Absent), Err(Refusal::UnknownToken));
    assert_eq!(asked(none, Bearer::Absent, AppCookie::Absent), Err(Refusal::NotSignedIn));
    let ended = asked(Cookie::Unknown, Bearer::Absent, AppCookie::Unknown);
    assert_eq!(ended, Err(Refusal::SessionEnded));
    for refusal in [Refusal::TokenMayNot, Refusal::UnknownToken] {
        assert!(refusal.advice().contains("`stationctl login --token --app NAME`"));
    }
}

#[test]
fn a_cookie_of_a_token_is_judged_as_a_session_is_and_a_token_is_not() {
    let (post, evil) = (Method::POST, Some("https://evil.example"));
    let asked = |upgrade, origin, bearer| Facts {
        upgrade,
        origin,
        bearer,
        app_cookie: AppCookie::Known { may: true },
        ..facts(&post, "localhost")
    };
    let verdict = |facts: &Facts<'_>| decide(Policy::App, facts, &names());
    let token = Bearer::Known { may: true };
    assert_eq!(verdict(&asked(false, evil, Bearer::Absent)), Err(Refusal::ForeignOrigin));
    assert_eq!(verdict(&asked(true, None, Bearer::Absent)), Err(Refusal::NoOrigin));
    assert_eq!(verdict(&asked(false, evil, token)), Ok(Via::Bearer));
    assert_eq!(verdict(&asked(true, None, token)), Ok(Via::Bearer));
}

#[test]
fn hosts() {
    let check = |host: &str, expect: bool| {
        let verdict = decide(Policy::Open, &facts(&Method::GET, host), &names());
        assert_eq!(verdict.is_ok(), expect, "{host}");
    };
    for good in [
        "localhost",
        "LOCALHOST:8710",
        "127.0.0.1:1",
        "[::1]:8710",
        "[::1]",
        "station.example:1",
        "public.example",
        "other.example:99",
        "Station.Example",
    ] {
        check(good, true);
    }
    for bad in [
        "",
        ":80",
        "localhost:",
        "localhost:x",
        "localhost.",
        "127.0.0.1.evil.example",
        "other.example",
        "public.example:8443",
        "::1",
        "[::1",
        "[::2]",
        "localhost@evil.example",
        "localhost:80:80",
        "evil.example",
        "169.254.169.254",
        "[::1]x",
    ] {
        check(bad, false);
    }
}

#[test]
fn a_public_origin_is_taken_when_tls_ends_before_us() {
    let with = |origin| Facts {
        upgrade: true,
        origin: Some(origin),
        cookie: Cookie::Known { assigned: true },
        ..facts(&Method::GET, "public.example")
    };
    let decide = |facts: &Facts<'_>| decide(Policy::App, facts, &names());
    assert_eq!(decide(&with("https://public.example")), Ok(Via::Cookie));
    assert_eq!(decide(&with("http://public.example")), Ok(Via::Cookie));
    assert_eq!(decide(&with("https://public.example:1")), Err(Refusal::ForeignOrigin));
    let elsewhere = Facts { host: "localhost", ..with("https://public.example") };
    assert_eq!(decide(&elsewhere), Err(Refusal::ForeignOrigin));
}

#[test]
fn another_port_of_this_host_causes_nothing_unseen() {
    let seen = |site, mode, dest| Facts {
        fetch_site: Some(site),
        fetch_mode: Some(mode),
        fetch_dest: Some(dest),
        cookie: Cookie::Known { assigned: true },
        ..facts(&Method::GET, "localhost:8710")
    };
    for policy in [Policy::Visit, Policy::Session, Policy::App, API_READ] {
        let passes = |facts: &Facts<'_>| match decide(policy, facts, &names()) {
            Ok(_) => true,
            Err(refusal) => {
                assert_eq!(refusal, Refusal::ForeignOrigin);
                false
            }
        };
        for site in ["same-site", "cross-site"] {
            assert!(passes(&seen(site, "navigate", "document")), "{policy:?} {site}");
            for (mode, dest) in [("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty")] {
                assert!(!passes(&seen(site, mode, dest)), "{policy:?} {site} {mode} {dest}");
            }
        }
        assert!(passes(&seen("same-origin", "navigate", "iframe")), "{policy:?}");
        assert!(passes(&seen("none", "navigate", "document")), "{policy:?}");
    }
    // The pages of a refusal need their style from anywhere.
    let style = seen("same-site", "no-cors", "style");
    assert!(decide(Policy::Open, &style, &names()).is_ok());
}

#[test]
fn the_scheme_is_that_of_the_public_url_when_tls_ends_before_us() {
    let plain = |host| is_https(&facts(&Method::GET, host), &names());
    assert!(plain("public.example") && plain("PUBLIC.example"));
    assert!(!plain("public.example:8443") && !plain("station.example") && !plain("localhost"));
    assert!(is_https(&Facts { tls: true, ..facts(&Method::GET, "localhost") }, &names()));
}

#[test]
fn the_refusal_of_a_host_names_the_key() {
    assert_eq!(Refusal::UnknownHost.status().as_u16(), 421);
    assert!(Refusal::UnknownHost.advice().contains("`listen.hosts`"));
    assert!(Refusal::NotSignedIn.advice().contains("`stationctl login`"));
}
