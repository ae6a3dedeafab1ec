//! `since`: what changed, and nothing else.

use std::time::Duration;

use http::{Method, StatusCode, header};
use station_proto::heartbeat::{Delta, Heartbeat, HeartbeatDelta, Phase, Status};
use station_proto::problem::Problem;
use station_tests::station::{App, Station};

/// A station at rest, and its status.
async fn at_rest(station: &Station) -> Heartbeat {
    let ready = |heartbeat: &Heartbeat| heartbeat.status.phase == Phase::Ready;
    station.wait_for("ready", Duration::from_secs(90), ready).await.unwrap()
}

async fn delta(station: &Station, query: &str) -> HeartbeatDelta {
    let path = format!("/v1/heartbeat?{query}");
    let answer = station.admin(Method::GET, &path, "").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test]
async fn deltas_lead_to_the_status_that_a_whole_answer_has() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut held = at_rest(&station).await.status;
    station.admin(Method::POST, "/v1/apps/jupyterlab/restart", "").await.unwrap();
    let mut steps = 0;
    // From stopping over starting to ready, each change by the wait.
    while steps == 0 || !held.ready {
        let answer = delta(&station, &format!("since={}&wait=30&samples=false", held.seq)).await;
        assert_eq!(answer.samples, None);
        assert!(answer.lease.seq > held.seq, "{answer:?}");
        held = held.apply(&answer.delta).unwrap();
        steps += 1;
    }
    let whole = station.admin(Method::GET, "/v1/status", "").await.unwrap();
    let whole: Status = serde_json::from_slice(whole.body()).unwrap();
    let path = format!("/v1/status?since={}", held.seq);
    let last = station.admin(Method::GET, &path, "").await.unwrap();
    let last: Delta = serde_json::from_slice(last.body()).unwrap();
    assert_eq!(held.apply(&last).unwrap(), whole);
}

#[tokio::test]
async fn one_condition_takes_400_bytes_at_most_and_nothing_takes_304() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let held = at_rest(&station).await;
    let (seq, boot) = (held.status.seq, &held.lease.boot_id);
    let tag = format!("W/\"{boot}-{seq}\"");
    let known = [(header::IF_NONE_MATCH, tag.as_str())];
    let path = format!("/v1/heartbeat?since={seq}&boot={boot}");
    let same = station.admin_with(Method::GET, &path, "", &known).await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    let empty = delta(&station, &format!("since={seq}&wait=1")).await;
    assert!(empty.delta.is_nothing() && empty.samples.is_some(), "{empty:?}");
    station.configure("app = []\n[log]\nformat = \"json\"\n").unwrap();
    let path = format!("/v1/status?since={seq}&boot={boot}&wait=30");
    let changed = station.admin_with(Method::GET, &path, "", &known).await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    let text = String::from_utf8_lossy(changed.body()).into_owned();
    let delta: Delta = serde_json::from_str(&text).unwrap();
    assert_eq!(delta.conditions.changed[0].entry.kind, "RestartRequired");
    assert_eq!((delta.phase, delta.apps.is_nothing()), (None, true));
    assert!(text.len() <= 400, "{} bytes: {text}", text.len());
}

#[tokio::test]
async fn what_changed_since_an_unknown_status_is_gone() {
    let mut station = Station::start(App::None, "app = []").await.unwrap();
    let held = at_rest(&station).await;
    let (seq, boot) = (held.status.seq, held.lease.boot_id);
    let another = "00000000-0000-0000-0000-000000000000";
    let other = format!("W/\"{another}-{seq}\"");
    for (query, tag) in [
        (format!("since={}", seq + 1000), ""),
        (format!("since={seq}&boot={another}"), ""),
        // It waits for nothing.
        (format!("since=0&wait=60&boot={boot}"), ""),
        (format!("since={seq}"), other.as_str()),
    ] {
        let path = format!("/v1/heartbeat?{query}");
        let known = [(header::IF_NONE_MATCH, tag)];
        let answer = station.admin_with(Method::GET, &path, "", &known).await.unwrap();
        assert_eq!(answer.status(), StatusCode::GONE, "{query}");
        let problem: Problem = serde_json::from_slice(answer.body()).unwrap();
        assert!(problem.detail.contains("poll without `since`"), "{problem:?}");
    }
    // The next stationd knows nothing of earlier changes, and its first status has a number of its own.
    station.terminate().await.unwrap();
    station.launch().await.unwrap();
    let path = format!("/v1/status?since={seq}&boot={boot}");
    let answer = station.admin(Method::GET, &path, "").await.unwrap();
    assert_eq!(answer.status(), StatusCode::GONE);
    let tag = format!("W/\"{boot}-{seq}\"");
    let known = [(header::IF_NONE_MATCH, tag.as_str())];
    let answer = station.admin_with(Method::GET, "/v1/status", "", &known).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
