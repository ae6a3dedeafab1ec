//! The stop: what was accepted is served, and nobody who is silent holds it up.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::rig::{Rig, read_head, status, until, within};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_right_after_the_stop_is_answered() {
    let rig = Rig::start().await;
    // What the second gets shows that the first, which came before it, is accepted.
    let mut first = rig.connect().await;
    let mut second = rig.connect().await;
    second.write_all(ASK).await.unwrap();
    assert_eq!(status(&read_head(&mut second).await), 200);
    let (mut silent, mut late) = (rig.connect().await, rig.connect().await);
    late.write_all(ASK).await.unwrap();
    assert_eq!(status(&read_head(&mut late).await), 200);
    rig.tasks.cancel();
    first.write_all(ASK).await.unwrap();
    let answer = read_head(&mut first).await;
    assert_eq!(status(&answer), 200, "{answer:?}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    // The one that asks nothing is closed long before the drain is over.
    let ended = tokio::time::timeout(Duration::from_millis(1500), rig.tasks.joined());
    ended.await.unwrap();
    assert_eq!(read_head(&mut silent).await, "");
    drop((first, second, silent, late));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sleeps_holds_up_no_stop() {
    let rig = Rig::start().await;
    let (stream, head) = rig.websocket("/apps/lab/do/ws").await;
    assert_eq!(status(&head), 101);
    until(|| rig.proxy.open_tunnels() == 1).await;
    rig.tasks.cancel();
    let ended = tokio::time::timeout(Duration::from_millis(1500), rig.tasks.joined());
    ended.await.unwrap();
    drop(stream);
    within(rig.stop()).await;
}
