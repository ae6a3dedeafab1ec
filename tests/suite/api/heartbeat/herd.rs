//! Many pollers at once: those for whom there is no place are told when to come again.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{Method, StatusCode};
use station_proto::heartbeat::Phase;
use station_tests::station::{App, Station};
use stationd::base::limits;

#[tokio::test]
async fn polls_that_find_no_place_to_wait_are_told_when_to_come_again() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let limit = Duration::from_secs(60);
    let ready = station.wait_for("ready", limit, |now| now.status.phase == Phase::Ready);
    let seq = ready.await.unwrap().status.seq;
    let client = station.login().await.unwrap();
    let path = format!("/v1/heartbeat?since={seq}&wait=60");
    // Through the public listener: the admin socket has fewer connections.
    let count = limits::WAITING_POLLS + 20;
    let mut polls: FuturesUnordered<_> = (0..count).map(|_| client.get(&path)).collect();
    for _ in 0..20 {
        let full = polls.next().await.unwrap().unwrap().expect(503).unwrap();
        let after = full.header("retry-after").parse::<u32>().unwrap();
        assert!((1..=limits::COME_AGAIN).contains(&after), "{after}");
    }
    // Who does not wait is answered all the same.
    let now = format!("/v1/status?since={seq}");
    let answer = station.admin(Method::GET, &now, "").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    station.configure("app = []\n[log]\nformat = \"json\"\n").unwrap();
    while let Some(answer) = polls.next().await {
        answer.unwrap().expect(200).unwrap();
    }
    // The places are free again.
    let seq = station.heartbeat().await.unwrap().status.seq;
    let path = format!("/v1/status?since={seq}&wait=1");
    let answer = station.admin(Method::GET, &path, "").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
