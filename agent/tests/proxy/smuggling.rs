//! Requests that two servers could read in two ways: the app never sees the second reading.

use crate::rig::{Rig, status};

/// What every payload tries to get to the app.
const SMUGGLED: &str =
    "GET /apps/lab/smuggled HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n\r\n";

const FIELDS: [&str; 42] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "content-length: 5\r\nTRANSFER-ENCODING: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: ,chunked\r\n",
    "Transfer-Encoding: chunked,\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: chunked;a=b\r\n",
    "Transfer-Encoding:\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding\r\n: chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5_0\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length:\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Content-Length : 5\r\n",
    "Host: localhost\r\n",
    "Host: evil.example\r\n",
    "X: a\0b\r\n",
    "X: a\x01b\r\n",
    "X: a\rb\r\n",
    "X\0: a\r\n",
    "X: a\nTransfer-Encoding: chunked\n",
    ": a\r\n",
];

const LINES: [&str; 27] = [
    "GET ! HTTP/1.1\r\n",
    "GET * HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "CONNECT localhost:80 HTTP/1.1\r\n",
    "GET http://localhost/apps/lab/ HTTP/1.1\r\n",
    "GET http://evil.example/apps/lab/ HTTP/1.1\r\n",
    "GET apps/lab/ HTTP/1.1\r\n",
    "GET //apps/lab/ HTTP/1.1\r\n",
    "GET /apps//lab/ HTTP/1.1\r\n",
    "GET /../apps/lab/ HTTP/1.1\r\n",
    "GET /apps/../apps/lab/ HTTP/1.1\r\n",
    "GET /apps/%2e%2e/apps/lab/ HTTP/1.1\r\n",
    "GET /apps/./lab/ HTTP/1.1\r\n",
    "GET /apps\\lab/ HTTP/1.1\r\n",
    "GET /apps/lab%2f/ HTTP/1.1\r\n",
    "GET /apps/lab%zz/ HTTP/1.1\r\n",
    "GET /apps/lab%00/ HTTP/1.1\r\n",
    "GET /apps/lab/#a HTTP/1.1\r\n",
    "GET /apps/lab/ HTTP/1.1 \r\n",
    "GET /apps/lab/ a HTTP/1.1\r\n",
    "GET /apps/lab/\ta HTTP/1.1\r\n",
    "GET /apps/lab/ HTTP/2.0\r\n",
    "GET /apps/lab/ HTTP/1.2\r\n",
    "GET /apps/lab/ HTTP/0.9\r\n",
    "GET /apps/lab/\r\n",
    "G\0T /apps/lab/ HTTP/1.1\r\n",
    "GET /apps/lab/ HTTP/1.1\n",
];

const CHUNKS: [&str; 14] = [
    "x\r\n",
    "\r\n",
    "-1\r\n",
    "0x5\r\nhello\r\n",
    "5 \r\nhello\r\n",
    " 5\r\nhello\r\n",
    "5\nhello\r\n",
    "5\r\nhelloo\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5;a=\"\r\nhello\r\n",
    "10000000000000000\r\n",
    "fffffffffffffffff\r\n",
    "0\r\nA: b\n\n",
    "5\rhello\r\n",
];

const GOOD: &str = "Host: localhost\r\nCookie: st=good\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dirty_heads_get_400_and_the_app_nothing() {
    let rig = Rig::start().await;
    let with_fields = FIELDS.iter().map(|fields| {
        let line = "POST /apps/lab/dirty HTTP/1.1\r\n";
        format!("{line}{GOOD}{fields}\r\n0\r\n\r\n{SMUGGLED}")
    });
    let with_lines = LINES.iter().map(|line| format!("{line}{GOOD}\r\n{SMUGGLED}"));
    let old = format!("POST /apps/lab/dirty HTTP/1.0\r\n{GOOD}Transfer-Encoding: chunked\r\n\r\n");
    let nameless = "GET /apps/lab/dirty HTTP/1.1\r\nCookie: st=good\r\n\r\n".to_owned();
    for payload in with_fields.chain(with_lines).chain([old, nameless]) {
        let answer = rig.send(&payload).await;
        let code = status(&answer);
        assert!((400..=431).contains(&code), "{payload:?} got {answer:?}");
        assert!(rig.record.saw_nothing(), "{payload:?} got to the app");
        assert_eq!(answer.matches("HTTP/1.1 4").count(), 1, "{payload:?}: {answer}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dirty_head_behind_a_clean_request_gets_no_further() {
    let rig = Rig::start().await;
    for fields in FIELDS {
        rig.record.forget();
        let clean = format!("GET /apps/lab/clean HTTP/1.1\r\n{GOOD}\r\n");
        let dirty = format!("POST /apps/lab/dirty HTTP/1.1\r\n{GOOD}{fields}\r\n0\r\n\r\n");
        let answer = rig.send(format!("{clean}{dirty}{SMUGGLED}")).await;
        let seen = rig.record.seen();
        assert!(!seen.contains("dirty") && !seen.contains("smuggled"), "{fields:?}: {seen}");
        assert!(answer.contains("HTTP/1.1 4"), "{fields:?}: {answer}");
        // The clean one is no part of it.
        assert!(seen.contains("clean") && status(&answer) == 200, "{fields:?}: {answer}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dirty_chunks_carry_no_second_request() {
    let rig = Rig::start().await;
    for body in CHUNKS {
        rig.record.forget();
        let head = format!("POST /apps/lab/do/sink HTTP/1.1\r\n{GOOD}");
        let payload = format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}");
        let answer = rig.send(&payload).await;
        let requests = rig.record.requests.lock().unwrap().clone();
        assert!(requests.iter().all(|line| line == "POST /apps/lab/do/sink"), "{body:?}");
        assert!(!answer.contains("200 OK"), "{body:?}: {answer}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_gets_431_with_what_to_do() {
    let rig = Rig::start().await;
    let large = "x".repeat(70 * 1024);
    for (fields, kind) in [("Sec-Fetch-Mode: navigate\r\n", "<p>"), ("", "problem+json")] {
        let line = "GET /apps/lab/x HTTP/1.1\r\n";
        let answer = rig.send(format!("{line}{GOOD}{fields}Cookie: c={large}\r\n\r\n")).await;
        assert!(status(&answer) == 431 && answer.contains(kind), "{answer}");
        assert!(answer.contains("delete the cookies"), "{answer}");
    }
    assert!(rig.record.saw_nothing());
    rig.stop().await;
}
