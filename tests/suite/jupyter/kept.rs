//! A kernel that says more than its client reads, so that every buffer in between is full when
//! stationd ends. Jupyter is a stand-in: what it has once written is gone for it.

use std::time::Duration;

use futures_util::StreamExt;
use station_tests::http::{Client, WebSocket};
use station_tests::station::{App, Station};

const CHANNELS: &str = "/apps/jupyterlab/api/kernels/k/channels?session_id=s";
const LIMIT: Duration = Duration::from_secs(60);

async fn connect(client: &Client) -> WebSocket {
    let open = async {
        loop {
            match client.open_websocket(CHANNELS).await {
                Ok(socket) => return socket,
                Err(_not_yet) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(LIMIT, open).await.expect("no way back")
}

/// Reads numbers until there are so many; false if the websocket has ended before.
async fn read(socket: &mut WebSocket, numbers: &mut Vec<usize>, enough: usize) -> bool {
    while numbers.len() < enough {
        let next = tokio::time::timeout(LIMIT, socket.next()).await.expect("the kernel is silent");
        let Some(Ok(message)) = next else { return false };
        if let Ok(text) = message.to_text()
            && let Some((number, _)) = text.split_once(' ')
        {
            numbers.push(number.parse().unwrap());
        }
    }
    true
}

/// Waits until every buffer between the kernel and the client that does not read is full.
async fn full(client: &Client) {
    let mut before = String::new();
    let stands = async {
        loop {
            let now = client.get("/apps/jupyterlab/api/counted").await.unwrap().text();
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, stands).await.expect("the kernel does not stop");
}

/// Ends stationd after some of the numbers, again and again, and checks that each came once. It has
/// always said what it wrote: between the two a killed one would double a piece.
async fn ends(more: &str, killed: bool) {
    let mut station = Station::start(App::StandIn, more).await.unwrap();
    let client = station.login().await.unwrap();
    let (mut socket, mut numbers) = (connect(&client).await, Vec::new());
    for some in [1, 10, 3_000, 1, 5_000] {
        let enough = numbers.len() + some;
        assert!(read(&mut socket, &mut numbers, enough).await, "it ended by itself");
        full(&client).await;
        if killed {
            station.kill().await.unwrap();
        } else {
            station.terminate().await.unwrap();
        }
        station.launch().await.unwrap();
        // What the network still held.
        assert!(!read(&mut socket, &mut numbers, usize::MAX).await, "it ends with stationd");
        socket = connect(&client).await;
    }
    let more = numbers.len() + 8_000;
    assert!(read(&mut socket, &mut numbers, more).await);
    let wrong = numbers.iter().enumerate().find(|(at, number)| at != *number);
    assert_eq!(wrong, None, "(place, number): one is lost or doubled");
}

#[tokio::test]
async fn what_a_killed_stationd_held_is_said_again_once() {
    ends("", true).await;
}

#[tokio::test]
async fn what_a_killed_stationd_held_is_said_again_once_over_tls() {
    ends("[listen]\ntls = \"self-signed\"\n", true).await;
}

#[tokio::test]
async fn what_a_stopped_stationd_held_is_said_again_once() {
    ends("", false).await;
}
