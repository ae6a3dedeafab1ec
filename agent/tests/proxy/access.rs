//! Who gets in, and how long a client may take.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{Rig, status, within};

/// Credentials and origins that must not reach the app.
const REFUSED: [(&str, u16); 10] = [
    ("Host: localhost\r\n", 401),
    ("Host: localhost\r\nCookie: st=bad\r\n", 401),
    ("Host: localhost\r\nCookie: st=good; st=good\r\n", 401),
    ("Host: localhost\r\nCookie: st=good\r\nCookie: st=good\r\n", 401),
    ("Host: localhost\r\nCookie: st=other\r\n", 403),
    ("Host: localhost\r\nAuthorization: Bearer bad\r\n", 401),
    ("Host: localhost\r\nAuthorization: Bearer stn_little\r\n", 403),
    ("Host: localhost\r\nAuthorization: token all\r\n", 401),
    ("Host: evil.example\r\nCookie: st=good\r\nOrigin: http://evil.example\r\n", 421),
    ("Host: localhost.evil.example\r\nAuthorization: Bearer stn_all\r\n", 421),
];

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_reaches_the_app_by_http_or_websocket() {
    let rig = Rig::start().await;
    for (fields, expect) in REFUSED {
        for method in ["GET", "POST", "HEAD"] {
            for extra in ["Connection: close\r\n", UPGRADE] {
                let raw = format!("{method} /apps/lab/x HTTP/1.1\r\n{fields}{extra}\r\n");
                // A websocket handshake that is refused leaves the connection open.
                let answer = rig.send_once(raw.as_bytes()).await;
                assert_eq!(status(&answer), expect, "{raw}");
                assert!(rig.record.saw_nothing(), "{raw}");
            }
        }
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_sites_get_nowhere_with_our_cookie() {
    let rig = Rig::start().await;
    let evil = "Origin: https://evil.example\r\n";
    let crossed = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n";
    for fields in [evil, crossed, "Sec-Fetch-Site: same-site\r\n", "Origin: null\r\n"] {
        let answer = rig.ask("POST /apps/lab/x", fields).await;
        assert_eq!(status(&answer), 403, "{fields}");
    }
    for fields in ["", evil, "Origin: null\r\n", "Origin: http://localhost\r\n"] {
        let (_, head) =
            rig.websocket_from("/apps/lab/do/ws", &format!("Cookie: st=good\r\n{fields}")).await;
        assert_eq!(status(&head), 403, "{fields}");
    }
    assert!(rig.record.saw_nothing());
    // Nor do they keep the session alive.
    assert_eq!(*rig.outside.used.lock().unwrap(), [""; 0]);
    assert_eq!(status(&rig.ask("GET /apps/lab/x", "").await), 200);
    assert_eq!(*rig.outside.used.lock().unwrap(), ["good"]);
    let by_token = "Authorization: Bearer stn_all\r\n";
    let (_, head) = rig.websocket_from("/apps/lab/do/ws", by_token).await;
    assert_eq!(status(&head), 101);
    let friend = "Cookie: st=good\r\nOrigin: https://friend.example\r\n";
    let (_, head) = rig.websocket_from("/apps/lab/do/ws", friend).await;
    assert_eq!(status(&head), 101);
    rig.stop().await;
}

/// Ways to show a token that opens `lab`, in the head of a request for `{}`.
const TOKENS: [(&str, &str); 4] = [
    ("", "Authorization: Bearer stn_lab\r\n"),
    ("", "Authorization: token stn_lab\r\n"),
    ("?token=stn_lab", ""),
    ("", "Cookie: st-app=for-stn_lab\r\n"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_its_app_and_nothing_else() {
    let rig = Rig::start().await;
    let ask = async |line: &str, fields: &str| {
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        status(&rig.send(format!("{head}{fields}\r\n")).await)
    };
    for (query, fields) in TOKENS {
        assert_eq!(ask(&format!("GET /apps/lab/x{query}"), fields).await, 200, "{query}{fields}");
        assert!(!rig.record.seen().contains("stn_"), "{}", rig.record.seen());
        rig.record.forget();
        for other in ["/apps/studio/x", "/apps/labs/x", "/apps/LAB/x", "/", "/v1/apps", "/no"] {
            let refused = ask(&format!("GET {other}{query}"), fields).await;
            assert!([401, 403].contains(&refused), "{other} {query}{fields}: {refused}");
        }
        assert_eq!(ask(&format!("POST /v1/power{query}"), fields).await / 100, 4);
        assert!(rig.record.saw_nothing(), "{query}{fields}");
    }
    assert_eq!(ask("GET /apps/lab/x?token=stn_gone", "").await, 401);
    assert_eq!(ask("GET /apps/lab/x?token=stn_lab&token=stn_lab", "").await, 401);
    let twice = "Cookie: st-app=for-stn_lab; st-app=for-stn_lab\r\n";
    assert_eq!(ask("GET /apps/lab/x", twice).await, 401);
    assert!(rig.record.saw_nothing());
    assert_eq!(*rig.outside.used.lock().unwrap(), ["stn_lab"; 4]);
    // Another site can lead a browser to send the cookie, but not the token.
    let evil = "Origin: https://evil.example\r\n";
    assert_eq!(ask("POST /apps/lab/x", &format!("{evil}{}", TOKENS[3].1)).await, 403);
    assert_eq!(ask("POST /apps/lab/x", &format!("{evil}{}", TOKENS[0].1)).await, 200);
    assert!(!rig.record.seen().contains("evil.example"), "{}", rig.record.seen());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_with_a_token_is_asked_for_again_without_it() {
    let rig = Rig::start().await;
    let ask = async |line: &str, fields: &str| {
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        rig.send(format!("{head}{fields}\r\n")).await
    };
    let (page, path) = ("Accept: text/html\r\n", "/apps/lab/a%2f?x=%zz&token=stn_lab&y");
    let answer = ask(&format!("GET {path}"), page).await;
    assert_eq!(status(&answer), 303);
    for field in [
        "location: /apps/lab/a%2f?x=%zz&y\r\n",
        "set-cookie: st-app=for-stn_lab; Path=/apps/lab/\r\n",
        "referrer-policy: no-referrer\r\n",
        "cache-control: no-store\r\n",
    ] {
        assert!(answer.contains(field), "{answer}");
    }
    // Who has a session needs no cookie.
    let with_session = ask(&format!("GET {path}"), &format!("{page}Cookie: st=good\r\n")).await;
    assert_eq!(status(&with_session), 303);
    assert!(!with_session.contains("set-cookie"), "{with_session}");
    assert!(rig.record.saw_nothing());
    // A refused one is no page of its own, and a script is no browser.
    let other = ask("GET /apps/studio/?token=stn_lab", page).await;
    assert!(status(&other) == 403 && !other.contains("stn_"), "{other}");
    let frame = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n";
    for fields in ["", "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n", frame] {
        assert_eq!(status(&ask(&format!("GET {path}"), fields).await), 200, "{fields}");
    }
    assert_eq!(status(&ask(&format!("POST {path}"), page).await), 200);
    let seen = rig.record.seen();
    assert!(seen.contains("GET /apps/lab/a%2f?x=%zz&y HTTP") && !seen.contains("stn_"), "{seen}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_gets_a_page_and_a_script_a_problem() {
    let rig = Rig::start().await;
    let raw = "GET /apps/lab/tree?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let browser = rig.send(format!("{raw}Sec-Fetch-Mode: navigate\r\n\r\n")).await;
    assert!(browser.contains("<p>not-signed-in"), "{browser}");
    assert!(browser.contains("stationctl login") && browser.contains("/apps/lab/tree?a=b"));
    let script = rig.send(format!("{raw}\r\n")).await;
    assert!(script.contains("application/problem+json"), "{script}");
    assert!(script.contains("about:stationd/not-signed-in"), "{script}");
    let evil = "GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let host = rig.send(evil).await;
    assert!(status(&host) == 421 && host.contains("listen.hosts"), "{host}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_keep_their_policies() {
    let rig = Rig::start().await;
    let check = async |line: &str, fields: &str, expect: u16| {
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let answer = rig.send(format!("{head}{fields}\r\n")).await;
        assert_eq!(status(&answer), expect, "{line} {fields}");
    };
    check("GET /healthz", "", 200).await;
    check("GET /", "", 401).await;
    check("GET /", "Cookie: st=other\r\n", 200).await;
    check("POST /", "Cookie: st=good\r\n", 405).await;
    check("GET /nothing", "", 401).await;
    check("GET /nothing", "Cookie: st=good\r\n", 404).await;
    check("GET /v1/apps", "Cookie: st=good\r\n", 200).await;
    check("POST /v1/power", "Cookie: st=good\r\n", 403).await;
    check("POST /v1/power", "Authorization: Bearer stn_little\r\n", 403).await;
    check("POST /v1/power", "Authorization: Bearer stn_all\r\n", 200).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_cut_off() {
    let rig = Rig::with(|config| {
        config.head_timeout = Duration::from_millis(200);
        config.idle_timeout = Duration::from_millis(400);
        config.stall_timeout = Duration::from_millis(600);
    })
    .await;
    // Says nothing at all.
    let mut silent = rig.connect().await;
    assert_eq!(within(silent.read(&mut [0; 1])).await.unwrap_or(0), 0);
    // Sends a byte now and then, for ever.
    let mut slow = rig.connect().await;
    let dripping = async {
        while slow.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(dripping).await;
    // Stops in the middle of a body.
    let mut stalled = rig.connect().await;
    let head = "POST /apps/lab/do/sink HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n";
    let raw = format!("{head}Content-Length: 10\r\n\r\nhalf");
    stalled.write_all(raw.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    drop(within(stalled.read_to_end(&mut rest)).await);
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    // Asked once and stays.
    let idle = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(&rig.send(idle).await), 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_house_waits_and_goes_on() {
    let rig = Rig::with(|config| config.connections = 2).await;
    let (first, _second) = (rig.connect().await, rig.connect().await);
    let third = rig.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let third = async {
        drop(first);
        third.await
    };
    assert_eq!(status(&within(third).await), 200);
    rig.stop().await;
}
