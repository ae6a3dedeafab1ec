//! Websockets: bytes go through as they are, and nothing is left behind.

mod kept;

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{Rig, status, until, within};

/// A masked text frame as a browser sends it.
const HELLO: [u8; 11] = [0x81, 0x85, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1];
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];
const POLICY: [u8; 4] = [0x88, 2, 0x03, 0xf0];

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_through_as_they_are() {
    let rig = Rig::start().await;
    let (mut stream, head) = rig.websocket("/apps/lab/do/ws").await;
    assert_eq!(status(&head), 101, "{head}");
    for part in [
        "Sec-Websocket-Accept: accepted",
        "Sec-Websocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-Websocket-Protocol: v1.kernel.websocket.jupyter.org",
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
    assert!(rig.record.seen().contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(!rig.record.seen().contains("st=good"));
    until(|| rig.proxy.open_tunnels() == 1).await;
    let mut echo = vec![0; HELLO.len()];
    stream.write_all(&HELLO).await.unwrap();
    within(stream.read_exact(&mut echo)).await.unwrap();
    assert_eq!(echo, HELLO);
    let large: Vec<u8> = (0..4 * 1024 * 1024_u32).map(|n| n.to_le_bytes()[1]).collect();
    let (mut reader, mut writer) = stream.into_split();
    let mut back = vec![0; large.len()];
    let (written, read) =
        within(async { tokio::join!(writer.write_all(&large), reader.read_exact(&mut back)) })
            .await;
    written.unwrap();
    read.unwrap();
    assert!(back == large, "4 MiB came back changed");
    let active = rig.outside.active.lock().unwrap().clone();
    assert!(active.contains(&"lab FromClient".to_owned()), "{active:?}");
    drop((reader, writer));
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_of_the_handshake_is_bound_to_the_prefix() {
    let rig = Rig::start().await;
    let (stream, head) = rig.websocket("/apps/studio/do/ws?cookie").await;
    assert_eq!(status(&head), 101, "{head}");
    assert!(head.contains("Set-Cookie: w=1; Path=/apps/studio/\r\n"), "{head}");
    let (other, head) = rig.websocket("/apps/lab/do/ws?cookie").await;
    assert!(head.contains("Set-Cookie: w=1; Path=/\r\n"), "{head}");
    // An answer that is no 101 goes the same way.
    let (_, head) = rig.websocket("/apps/studio/do/moved/~x").await;
    assert!(head.to_lowercase().contains("location: /apps/studio/x\r\n"), "{head}");
    drop((stream, other));
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_side_may_close_first() {
    let rig = Rig::start().await;
    let (mut stream, head) = rig.websocket("/apps/lab/do/ws/half").await;
    assert_eq!(status(&head), 101);
    stream.write_all(&HELLO).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    within(stream.read_to_end(&mut back)).await.unwrap();
    assert_eq!(back, HELLO);
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_by_the_app_is_passed_on() {
    let rig = Rig::start().await;
    for code in [200, 403, 404, 500] {
        let (stream, head) = rig.websocket(&format!("/apps/lab/do/status/{code}")).await;
        assert_eq!(status(&head), code, "{head}");
        drop(stream);
    }
    let (_, head) = rig.websocket("/apps/late/do/ws").await;
    assert!(status(&head) == 503 && head.contains("x-app-state: starting"), "{head}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_upgrades_leave_no_descriptor() {
    let rig = Rig::start().await;
    let (stream, _) = rig.websocket("/apps/lab/do/status/403").await;
    drop(stream);
    until(|| rig.proxy.open_tunnels() == 0).await;
    let before = descriptors();
    for round in 0..1000 {
        let path = match round % 4 {
            0 => "/apps/lab/do/status/403",
            1 => "/apps/lab/do/status/200",
            2 => "/apps/stranger/do/ws",
            _ => "/apps/lab/do/ws",
        };
        let (stream, _) = rig.websocket(path).await;
        drop(stream);
    }
    // Other tests of this process open and close descriptors too.
    until(|| descriptors() <= before + 32).await;
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_at_once() {
    let rig = Rig::start().await;
    let mut streams = Vec::new();
    for _ in 0..500 {
        let (stream, head) = rig.websocket("/apps/lab/do/ws").await;
        assert_eq!(status(&head), 101, "{head}");
        streams.push(stream);
    }
    until(|| rig.proxy.open_tunnels() == 500).await;
    for _ in 0..3 {
        for stream in &mut streams {
            stream.write_all(&HELLO).await.unwrap();
        }
        for stream in &mut streams {
            let mut echo = vec![0; HELLO.len()];
            within(stream.read_exact(&mut echo)).await.unwrap();
            assert_eq!(echo, HELLO);
        }
    }
    assert_eq!(rig.proxy.open_tunnels(), 500);
    drop(streams);
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_sends_close_between_frames() {
    let rig = Rig::start().await;
    let (mut quiet, _) = rig.websocket("/apps/lab/do/ws/frames").await;
    let mut first = [0; 7];
    within(quiet.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"\x81\x05hello");
    let (mut halfway, _) = rig.websocket("/apps/lab/do/ws").await;
    halfway.write_all(&HELLO[..8]).await.unwrap();
    within(halfway.read_exact(&mut [0; 8])).await.unwrap();
    let (mut deaf, _) = rig.websocket("/apps/lab/do/ws/deaf").await;
    until(|| rig.proxy.open_tunnels() == 3).await;
    rig.tasks.cancel();
    // What the app has to say before its own Close arrives.
    let mut rest = Vec::new();
    within(quiet.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, [b"\x81\x03bye", &GOING_AWAY[..]].concat());
    // An app that does not answer gets no say.
    let mut rest = Vec::new();
    within(deaf.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, GOING_AWAY);
    // Inside a frame there is no place for a Close: the tunnel just ends.
    let mut rest = Vec::new();
    drop(within(halfway.read_to_end(&mut rest)).await);
    assert!(rest.is_empty(), "{rest:?}");
    drop((quiet, halfway, deaf));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_ends_its_websockets() {
    let rig = Rig::start().await;
    let (mut stream, _) = rig.websocket("/apps/lab/do/ws").await;
    let by_token = "Authorization: Bearer stn_all\r\n";
    let (mut other, _) = rig.websocket_from("/apps/lab/do/ws", by_token).await;
    rig.outside.revoked.lock().unwrap().insert("good".to_owned());
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, POLICY);
    other.write_all(&HELLO).await.unwrap();
    within(other.read_exact(&mut [0; 11])).await.unwrap();
    assert_eq!(rig.record.connections.load(Ordering::Relaxed), 2);
    // The same holds for a token, and for the cookie that stands for it.
    let own = format!("Origin: http://{}\r\nCookie: st-app=for-stn_lab\r\n", rig.address);
    let (mut by_cookie, _) = rig.websocket_from("/apps/lab/do/ws", &own).await;
    for token in ["stn_all", "stn_lab"] {
        rig.outside.revoked.lock().unwrap().insert(token.to_owned());
    }
    for stream in [&mut other, &mut by_cookie] {
        let mut rest = Vec::new();
        within(stream.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, POLICY);
    }
    drop((stream, other, by_cookie));
    rig.stop().await;
}
