//! Requests and answers that go through: unaltered, streamed, and given up when nobody listens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stationd::proxy::{Entry, State, Table, Unavailable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{Rig, read_head, status, until, within};

const LARGE: usize = 128 * 1024 * 1024;
/// Debug build, both ends and the app in one process.
const MAY_GROW_KIB: usize = 48 * 1024;

fn rss_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_go_both_ways_in_little_memory() {
    let rig = Rig::start().await;
    let before = rss_kib();
    let mut stream = rig.connect().await;
    let head = "HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n";
    let get = format!("GET /apps/lab/do/bytes/{LARGE} {head}Connection: close\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await), 200);
    let mut buffer = vec![0; 256 * 1024];
    let mut down = 0;
    while let read @ 1.. = within(stream.read(&mut buffer)).await.unwrap() {
        down += read;
    }
    assert!(down >= LARGE, "{down}");
    let mut stream = rig.connect().await;
    let put = format!("PUT /apps/lab/do/sink {head}Content-Length: {LARGE}\r\n\r\n");
    stream.write_all(put.as_bytes()).await.unwrap();
    for _ in 0..LARGE / buffer.len() {
        within(stream.write_all(&buffer)).await.unwrap();
    }
    assert_eq!(status(&read_head(&mut stream).await), 200);
    assert_eq!(rig.record.body_bytes.load(Ordering::Relaxed), LARGE);
    let grown = rss_kib().saturating_sub(before);
    assert!(grown < MAY_GROW_KIB, "grew by {grown} KiB");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_stops_the_app() {
    let rig = Rig::start().await;
    let before = rss_kib();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut stream = rig.connect().await;
        let head = "HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n\r\n";
        let get = format!("GET /apps/lab/do/bytes/{LARGE} {head}");
        stream.write_all(get.as_bytes()).await.unwrap();
        assert_eq!(status(&read_head(&mut stream).await), 200);
        clients.push(stream);
    }
    // Other requests are answered meanwhile, and nothing piles up here.
    for _ in 0..50 {
        assert_eq!(status(&rig.ask("GET /apps/lab/x", "").await), 200);
    }
    let grown = rss_kib().saturating_sub(before);
    assert!(grown < MAY_GROW_KIB, "grew by {grown} KiB");
    rig.app_tasks.cancel();
    drop(clients);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_event_comes_at_once() {
    let rig = Rig::start().await;
    let mut stream = rig.connect().await;
    let head = "GET /apps/lab/do/sse HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await), 200);
    let mut event = vec![0; 64];
    let read = within(stream.read(&mut event)).await.unwrap();
    assert!(String::from_utf8_lossy(&event[..read]).contains("data: 1"));
    drop(stream);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_takes_its_request_along() {
    let rig = Rig::start().await;
    let mut stream = rig.connect().await;
    let head = "GET /apps/lab/do/never HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    until(|| !rig.record.requests.lock().unwrap().is_empty()).await;
    drop(stream);
    until(|| rig.record.cancelled.load(Ordering::Relaxed) == 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_the_app_are_used_again() {
    let rig = Rig::start().await;
    let mut stream = rig.connect().await;
    for path in ["x", "do/bytes/65536", "do/status/204", "do/status/404"] {
        let head = format!("GET /apps/lab/{path} HTTP/1.1\r\nHost: localhost\r\n");
        let raw = format!("{head}Cookie: st=good\r\n\r\n");
        stream.write_all(raw.as_bytes()).await.unwrap();
        let answer = read_head(&mut stream).await;
        let length = answer
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(|length| length.parse::<usize>().unwrap());
        match length {
            Some(length) => {
                within(stream.read_exact(&mut vec![0; length])).await.unwrap();
            }
            None if answer.contains("chunked") => {
                let mut all = Vec::new();
                while !all.ends_with(b"0\r\n\r\n") {
                    all.push(within(stream.read_u8()).await.unwrap());
                }
            }
            None => {}
        }
    }
    let post = "POST /apps/lab/do/sink HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n\
                Content-Length: 5\r\n\r\nhello";
    stream.write_all(post.as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await), 200);
    assert_eq!(rig.record.connections.load(Ordering::Relaxed), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_are_as_they_should_be() {
    let rig = Rig::start().await;
    let fields = "Cookie: a=1; _xsrf=2\r\nX-Forwarded-For: 6.6.6.6\r\nX-Mine: 1\r\n\
                  Authorization: token for-the-app\r\nX-RStudio-Username: root\r\n";
    let seen = rig.ask("GET /apps/lab/x", fields).await;
    for part in [
        "cookie: a=1; _xsrf=2\n",
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        "host: localhost\n",
        "authorization: token for-the-app\n",
        "x-mine: 1\n",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    for part in ["st=good", "6.6.6.6", "x-rstudio", "connection: close\n"] {
        assert!(!seen.contains(part), "{part} in {seen}");
    }
    let raw = "GET /apps/lab/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let seen = rig.send(format!("{raw}Authorization: Bearer stn_all\r\n\r\n")).await;
    assert!(status(&seen) == 200 && !seen.contains("authorization"), "{seen}");
    let answer = rig.ask("GET /apps/lab/do/cookies", "").await;
    assert_eq!(answer.matches("set-cookie: ").count(), 2, "{answer}");
    assert!(answer.contains("x-case: kept") && !answer.contains("x-hop"), "{answer}");
    let studio = rig.ask("GET /apps/studio/a?b", "").await;
    assert!(studio.contains("GET /a?b\n"), "{studio}");
    assert!(studio.contains("x-rstudio-root-path: /apps/studio\n"), "{studio}");
    assert!(studio.contains("x-rstudio-request: http://localhost/apps/studio/a?b\n"), "{studio}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_does_not_know_its_prefix_is_not_left() {
    let rig = Rig::start().await;
    for (to, expect) in [
        ("~x", "/apps/studio/x"),
        ("http:~~HOST~apps~studio~x", "/apps/studio/x"),
        ("https:~~HOST:443~x", "/apps/studio/x"),
        ("http:~~127.0.0.1:8787", "/apps/studio/"),
        ("http:~~elsewhere.example~x", "http://elsewhere.example/x"),
        ("x", "x"),
    ] {
        let answer = rig.ask(&format!("GET /apps/studio/do/moved/{to}"), "").await;
        assert!(answer.contains(&format!("location: {expect}\r\n")), "{to}: {answer}");
        assert!(answer.contains("set-cookie: a=1; Path=/apps/studio/; HttpOnly\r\n"), "{answer}");
        assert!(answer.contains("set-cookie: b=2\r\n"), "{answer}");
    }
    // An app that knows its prefix is believed.
    let answer = rig.ask("GET /apps/lab/do/moved/~x", "").await;
    assert!(answer.contains("location: /x\r\n"), "{answer}");
    assert!(answer.contains("set-cookie: b=2; Domain=localhost\r\n"), "{answer}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_arrive_byte_for_byte() {
    let rig = Rig::start().await;
    let mut paths: Vec<String> =
        (0..=255).map(|byte| format!("a%{byte:02x}b%{byte:02X}")).collect();
    let plain = (0x21..0x7f_u8).map(char::from).filter(|c| !"#?<>`^".contains(*c));
    paths.extend(plain.map(|c| format!("a{c}b")));
    for odd in ["/a//b/", "/a/../b/./c", "a;b=c;d", "?", "?a", "?a=%zz&b==?", "%zz/%", "a%2Fb"] {
        paths.push(odd.to_owned());
    }
    for path in paths {
        let target = format!("GET /apps/lab/{path}");
        let answer = rig.ask(&target, "").await;
        assert_eq!(status(&answer), 200, "{target}: {answer}");
        let seen = rig.record.requests.lock().unwrap().last().cloned();
        assert_eq!(seen.as_deref(), Some(target.as_str()));
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_end_of_the_upload_comes_through() {
    let rig = Rig::start().await;
    let mut stream = rig.connect().await;
    let head = "POST /apps/lab/do/early HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n";
    let raw = format!("{head}Content-Length: 100000000\r\n\r\nsome");
    stream.write_all(raw.as_bytes()).await.unwrap();
    assert_eq!(status(&read_head(&mut stream).await), 413);
    drop(stream);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_that_cannot_answer_are_explained() {
    let rig = Rig::start().await;
    let page = "Sec-Fetch-Mode: navigate\r\n";
    let late = rig.ask("GET /apps/late/x", page).await;
    assert!(late.contains("X-App-State: starting") || late.contains("x-app-state: starting"));
    assert!(status(&late) == 503 && late.contains("retry-after: 2"), "{late}");
    assert!(late.contains("<p>late starting waits for its port"), "{late}");
    let dead = rig.ask("GET /apps/dead/x", page).await;
    assert!(dead.contains("<p>dead down") && dead.contains("x-app-state: failed"), "{dead}");
    let script = rig.ask("POST /apps/dead/x", "").await;
    assert!(script.contains("problem+json") && script.contains("it ended five times"), "{script}");
    let unknown = rig.ask("GET /apps/nothing/x", page).await;
    assert!(status(&unknown) == 404 && unknown.contains("lab"), "{unknown}");
    let stranger = rig.ask("GET /apps/stranger/x", "").await;
    assert!(status(&stranger) == 503 && stranger.contains("runs as user"), "{stranger}");
    assert!(rig.record.saw_nothing());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_does_not_begin_is_told_and_tried_again() {
    let rig = Rig::start().await;
    let page = "Sec-Fetch-Mode: navigate\r\n";
    *rig.outside.no_start.lock().unwrap() = Some("no process is left".to_owned());
    let refused = rig.ask("GET /apps/asleep/", page).await;
    assert!(status(&refused) == 503 && refused.contains("<p>asleep down"), "{refused}");
    assert!(refused.contains("NotStarted") && refused.contains("no process is left"), "{refused}");
    *rig.outside.no_start.lock().unwrap() = None;
    let starts = rig.ask("GET /apps/asleep/", page).await;
    assert!(status(&starts) == 503 && starts.contains("<p>asleep starting"), "{starts}");
    assert_eq!(*rig.outside.woken.lock().unwrap(), ["asleep", "asleep"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_silent_app_comes_in_its_place_and_a_script_goes_on_waiting() {
    let rig = Rig::start().await;
    let mut table: Table = (**rig.table.borrow()).clone();
    if let Some(Entry::App(target)) = table.get_mut("lab") {
        target.state = State::Degraded(Unavailable { phase: "degraded".into(), ..<_>::default() });
    }
    rig.table.send_replace(Arc::new(table));
    // What answers is shown, and websockets open.
    assert_eq!(status(&rig.ask("GET /apps/lab/x", "Sec-Fetch-Mode: navigate\r\n").await), 200);
    assert_eq!(status(&rig.websocket("/apps/lab/do/ws").await.1), 101);
    let mut script = rig.connect().await;
    let head = "GET /apps/lab/do/never HTTP/1.1\r\nHost: localhost\r\nCookie: st=good\r\n\r\n";
    script.write_all(head.as_bytes()).await.unwrap();
    let page = rig.ask("GET /apps/lab/do/never", "Sec-Fetch-Mode: navigate\r\n").await;
    assert!(status(&page) == 503 && page.contains("x-app-state: degraded"), "{page}");
    assert!(page.contains("<p>lab down") && page.contains("Silent"), "{page}");
    // The request of the page was given up, that of the script was not.
    until(|| rig.record.cancelled.load(Ordering::Relaxed) == 1).await;
    let waits = tokio::time::timeout(Duration::from_millis(500), script.read_u8()).await;
    assert!(waits.is_err(), "the script got {waits:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_gone_is_explained_and_a_new_one_found() {
    let rig = Rig::start().await;
    assert_eq!(status(&rig.ask("GET /apps/lab/x", "").await), 200);
    let whole: Table = (**rig.table.borrow()).clone();
    let mut moved = whole.clone();
    if let Some(Entry::App(target)) = moved.get_mut("lab") {
        target.socket = "/nowhere/s".into();
        target.state = State::Ready;
    }
    rig.table.send_replace(Arc::new(moved));
    let gone = rig.ask("GET /apps/lab/x", "").await;
    assert!(status(&gone) == 503 && gone.contains("/nowhere/s"), "{gone}");
    rig.table.send_replace(Arc::new(whole));
    assert_eq!(status(&rig.ask("GET /apps/lab/x", "").await), 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects() {
    let rig = Rig::start().await;
    let check = async |line: &str, code: u16, to: &str| {
        let answer = rig.ask(line, "").await;
        assert_eq!(status(&answer), code, "{line}");
        assert!(answer.contains(&format!("location: {to}\r\n")), "{line}: {answer}");
    };
    check("GET /apps/lab?a=b", 302, "/apps/lab/?a=b").await;
    check("POST /apps/lab", 308, "/apps/lab/").await;
    check("GET /apps/alias/", 302, "/apps/lab/tree").await;
    check("GET /apps/alias/tree/a%20b?c", 302, "/apps/lab/tree/a%20b?c").await;
    assert!(rig.record.saw_nothing());
    rig.stop().await;
}
