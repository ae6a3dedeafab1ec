//! Many pollers at once: those for whom there is no place are told when to come again.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode, header};
use station_proto::heartbeat::Phase;
use station_tests::process::eventually_async;
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
    let waiting = join_all((0..limits::WAITING_POLLS).map(|_| client.get(&path)));
    let rest = async {
        let full = eventually_async("no place", limit, || async {
            let answer = station.admin(Method::GET, &format!("/v1/status?since={seq}&wait=1"), "");
            let answer = answer.await.ok()?;
            (answer.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
        });
        let full = full.await.unwrap();
        let after = full.headers()[header::RETRY_AFTER].to_str().unwrap().parse::<u32>().unwrap();
        assert!((1..=limits::COME_AGAIN).contains(&after), "{after}");
        // Who does not wait is answered all the same.
        let path = format!("/v1/status?since={seq}");
        let answer = station.admin(Method::GET, &path, "").await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        station.configure("app = []\n[log]\nformat = \"json\"\n").unwrap();
    };
    let (answers, ()) = futures_util::future::join(waiting, rest).await;
    for answer in answers {
        answer.unwrap().expect(200).unwrap();
    }
    // The places are free again.
    let seq = station.heartbeat().await.unwrap().status.seq;
    let path = format!("/v1/status?since={seq}&wait=1");
    let answer = station.admin(Method::GET, &path, "").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
