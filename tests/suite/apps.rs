//! Apps of every kind behind the public listener: real programs, and a stand-in for RStudio Server.

mod custom;
mod programs;
mod rserver_standin;
mod rstudio;
mod views;

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use station_proto::app::{App, AppPhase};
use station_tests::station::{self, Station};

const LIMIT: Duration = Duration::from_secs(90);

/// A home without any app yet: the test writes its programs, then [`run`]s it.
fn home() -> Station {
    Station::prepare(station::App::None, "").unwrap()
}

/// Starts stationd with this configuration.
async fn run(station: &mut Station, toml: &str) {
    station.configure(toml).unwrap();
    station.launch().await.unwrap();
}

/// Writes a program into the test's folder.
fn program(station: &Station, name: &str, text: &str) -> PathBuf {
    let path = station.folder().join(name);
    stationd::os::file::write_atomic(&path, text.as_bytes(), 0o755).unwrap();
    path
}

/// Waits until the app of this name is as wanted.
async fn app(station: &Station, name: &str, wanted: impl Fn(&App) -> bool) -> App {
    let find = |apps: &[App]| apps.iter().find(|app| app.name == name && wanted(app)).cloned();
    let seen = station
        .wait_for(&format!("the state of {name}"), LIMIT, |seen| find(&seen.status.apps).is_some())
        .await
        .unwrap();
    find(&seen.status.apps).unwrap()
}

async fn app_in(station: &Station, name: &str, phase: AppPhase) -> App {
    app(station, name, |app| app.phase == phase).await
}

/// What stationd says of an app's activity.
async fn activity(station: &Station, name: &str) -> Value {
    let path = format!("/v1/apps/{name}/activity");
    let answer = station.admin(Method::GET, &path, "").await.unwrap();
    serde_json::from_slice(answer.body()).unwrap()
}

/// Waits until the activity is as wanted; looks come every ten seconds.
async fn activity_until(station: &Station, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let limit = Duration::from_secs(40);
    let mut last = Value::Null;
    let found = station_tests::process::eventually_async("activity", limit, || async {
        let seen = activity(station, name).await;
        wanted(&seen).then_some(seen)
    })
    .await;
    if found.is_err() {
        last = activity(station, name).await;
    }
    found.unwrap_or_else(|error| panic!("{error}: {last:#}"))
}

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
