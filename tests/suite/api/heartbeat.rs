//! The heartbeat: its shape, its tag, waiting, and that it answers whatever the app does.

mod deltas;
mod gzip;
mod herd;

use std::time::Duration;

use http::{Method, StatusCode, header};
use station_proto::app::AppPhase;
use station_proto::heartbeat::{Heartbeat, Phase};
use station_tests::standin::{self, Behaviour};
use station_tests::station::{App, Station};

#[tokio::test]
async fn shape_and_tag() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    // The first look at the workspace is the last change.
    let ready = |heartbeat: &Heartbeat| heartbeat.status.phase == Phase::Ready;
    station.wait_for("ready", Duration::from_secs(30), ready).await.unwrap();
    let answer = station.admin(Method::GET, "/v1/heartbeat", "").await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["lease", "samples", "status"]);
    let tag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
    let boot = json["lease"]["boot_id"].as_str().unwrap();
    assert_eq!(tag, format!("W/\"{boot}-{}\"", json["status"]["seq"]));
    let known = [(header::IF_NONE_MATCH, tag.as_str())];
    let same = station.admin_with(Method::GET, "/v1/heartbeat", "", &known).await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    assert!(same.body().is_empty());
}

#[tokio::test]
async fn a_wait_ends_when_the_status_changes_and_not_before() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let answer = station.admin(Method::GET, "/v1/heartbeat", "").await.unwrap();
    let tag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
    let known = [(header::IF_NONE_MATCH, tag.as_str())];
    let quiet = station.admin_with(Method::GET, "/v1/heartbeat?wait=1", "", &known).await.unwrap();
    assert_eq!(quiet.status(), StatusCode::NOT_MODIFIED);
    let waiting = station.admin_with(Method::GET, "/v1/heartbeat?wait=30", "", &known);
    let stopping = station.admin(Method::POST, "/v1/apps/jupyterlab/stop", "");
    let limit = Duration::from_secs(25);
    let both = futures_util::future::join(waiting, stopping);
    let (woken, stopped) = tokio::time::timeout(limit, both).await.unwrap();
    assert!(stopped.unwrap().status().is_success());
    let woken = woken.unwrap();
    assert_eq!(woken.status(), StatusCode::OK);
    assert_ne!(woken.headers()[header::ETAG].to_str().unwrap(), tag);
}

#[tokio::test]
async fn it_answers_within_a_second_while_the_app_hangs() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    standin::behave(station.folder(), Behaviour::Hang).unwrap();
    station.app_in(AppPhase::Degraded).await.unwrap();
    let second = Duration::from_secs(1);
    let heartbeat = tokio::time::timeout(second, station.heartbeat()).await.unwrap().unwrap();
    let found = heartbeat.status.conditions.iter().any(|one| one.kind == "AppNotAnswering");
    assert!(found, "{:?}", heartbeat.status.conditions);
    assert!(!heartbeat.status.ready);
    standin::behave(station.folder(), Behaviour::Work).unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
}

#[tokio::test]
async fn samples_hold_the_machine() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    // The CPU share needs two samples.
    let samples =
        station_tests::process::eventually_async("samples", Duration::from_secs(20), || async {
            let samples = station.heartbeat().await.ok()?.samples?;
            (samples.cpu.is_some() && samples.os_disk.is_some()).then_some(samples)
        });
    let samples = samples.await.unwrap();
    assert!(samples.cpu.unwrap().cores >= 1);
    assert!(samples.memory.unwrap().total_mib > 0);
    assert!(samples.os_disk.unwrap().total_mib > 0);
}
