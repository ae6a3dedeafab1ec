//! The real JupyterLab behind stationd: cells, and every way in which a part can die.

mod browser;
mod ends;
mod kept;
mod kernels;

use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use serde_json::Value;
use station_proto::app::AppPhase;
use station_proto::cause::CauseKind;
use station_tests::kernel::{self, Kernel, Outcome};
use station_tests::station::{App, Station};
use station_tests::{jupyter, process};
use stationd::os::process::signal;

const BASE: &str = "/apps/jupyterlab";
const TWENTY: &str =
    "import time\nfor i in range(20):\n    print('line', i, flush=True)\n    time.sleep(0.25)";
const LIMIT: Duration = Duration::from_secs(60);

fn twenty_lines() -> String {
    (0..20).fold(String::new(), |text, i| text + &format!("line {i}\n"))
}

/// A station with the real JupyterLab; `None` where there is none.
pub(crate) async fn station() -> Option<Station> {
    if jupyter::lab().is_none() {
        station_tests::skip(jupyter::MISSING).unwrap();
        return None;
    }
    Some(Station::with_app(App::JupyterLab).await.unwrap())
}

#[tokio::test]
async fn a_cell_runs_through_the_proxy() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    let outcome = kernel.run("print('hello'); 6 * 7").await.unwrap();
    assert_eq!(outcome.output, "hello\n");
    assert_eq!(outcome.value.as_deref(), Some("42"));
    let outcome = kernel.run("undefined_name").await.unwrap();
    assert!(outcome.error.unwrap().starts_with("NameError"), "the error arrives");
    let outcome = kernel.run("import os; os.getcwd()").await.unwrap();
    let folder = station.home().join("workspace").canonicalize().unwrap();
    let seen = outcome.value.unwrap();
    assert!(seen.contains(folder.to_str().unwrap()), "{seen}");
}

#[tokio::test]
async fn jupyters_own_checks_stay_on() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let path = format!("{BASE}/api/kernels");
    client.post(&path, &serde_json::json!({})).await.unwrap().expect(403).unwrap();
    let listed = client.get(&path).await.unwrap().expect(200).unwrap();
    assert_eq!(listed.text(), "[]", "the refused request started no kernel");
}

#[tokio::test]
async fn a_killed_stationd_loses_no_line_of_a_running_cell() {
    let Some(mut station) = station().await else { return };
    let client = station.login().await.unwrap();
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    kernel.run("kept = 'alive'").await.unwrap();
    let mut outcome = Outcome::default();
    let id = kernel.send(TWENTY).await.unwrap();
    let some = |outcome: &Outcome| outcome.output.contains("line 3\n");
    assert!(!kernel.collect(&id, &mut outcome, some).await.unwrap());
    station.kill().await.unwrap();
    station.launch().await.unwrap();
    // What the network still held, then what Jupyter kept for this session.
    let dropped = kernel.collect(&id, &mut outcome, |_| false).await.unwrap();
    assert!(dropped, "the websocket ends with stationd");
    kernel.reconnect(&client).await.unwrap();
    assert!(!kernel.collect(&id, &mut outcome, |_| false).await.unwrap());
    assert_eq!(outcome.output, twenty_lines());
    assert!(outcome.replied);
    assert_eq!(kernel.run("kept").await.unwrap().value.as_deref(), Some("'alive'"));
    let after = station.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!((before.pid, before.generation), (after.pid, after.generation));
}

#[tokio::test]
async fn a_killed_jupyterlab_is_started_again_and_the_cause_is_kept() {
    let Some(station) = station().await else { return };
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    signal(before.pid.unwrap(), Signal::SIGKILL).unwrap();
    let heartbeat = station
        .wait_for("a new JupyterLab", LIMIT, |heartbeat| {
            let app = heartbeat.status.apps.first();
            app.is_some_and(|app| {
                app.generation > before.generation && app.phase == AppPhase::Ready
            })
        })
        .await
        .unwrap();
    let end = heartbeat.status.apps[0].last_end.clone().unwrap();
    assert_eq!((end.kind, end.signal), (CauseKind::Signal, Some(9)), "{end:?}");
    let events = station.events(0).await.unwrap();
    let told = events.iter().any(|event| event.message.contains("SIGKILL"));
    assert!(told, "{events:#?}");
}

#[tokio::test]
async fn a_killed_keeper_leaves_no_second_jupyterlab() {
    let Some(station) = station().await else { return };
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    let client = station.login().await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    let pid = kernel.run("import os; os.getpid()").await.unwrap().value.unwrap();
    let kernel_pid: i32 = pid.parse().unwrap();
    let keepers = process::of_home_with(station.folder(), "stationd keep");
    assert_eq!(keepers.len(), 1, "{keepers:?}");
    signal(keepers[0], Signal::SIGKILL).unwrap();
    let heartbeat = station
        .wait_for("a new JupyterLab", LIMIT, |heartbeat| {
            let app = heartbeat.status.apps.first();
            app.is_some_and(|app| {
                app.generation > before.generation && app.phase == AppPhase::Ready
            })
        })
        .await
        .unwrap();
    assert!(!process::is_alive(before.pid.unwrap()), "the old JupyterLab still runs");
    assert!(!process::is_alive(kernel_pid), "its kernel still runs");
    let end = heartbeat.status.apps[0].last_end.clone().unwrap();
    assert_eq!(end.kind, CauseKind::KeeperLost, "{end:?}");
    assert_eq!(end.exit_code, None, "an unknown end is no exit code");
}

#[tokio::test]
async fn a_stopped_jupyterlab_is_a_condition_and_nothing_is_ended() {
    let Some(station) = station().await else { return };
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    let pid = before.pid.unwrap();
    signal(pid, Signal::SIGSTOP).unwrap();
    station.app_in(AppPhase::Degraded).await.unwrap();
    let conditions = station.heartbeat().await.unwrap().status.conditions;
    assert!(conditions.iter().any(|one| one.kind == "AppNotAnswering"), "{conditions:?}");
    let client = station.login().await.unwrap();
    let page = client.page(&format!("{BASE}/lab")).await.unwrap().expect(503).unwrap();
    for part in ["jupyterlab runs but does not answer", "data-verb=\"restart\""] {
        assert!(page.text().contains(part), "{}", page.text());
    }
    signal(pid, Signal::SIGCONT).unwrap();
    let after = station.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!((before.pid, before.generation), (after.pid, after.generation));
}

#[tokio::test]
async fn down_leaves_no_process() {
    let Some(mut station) = station().await else { return };
    let client = station.login().await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    kernel.run("1").await.unwrap();
    assert!(process::of_home(station.folder()).len() >= 4, "stationd, keeper, server, kernel");
    let down = station.ctl(&["down"]).await.unwrap();
    assert!(down.status.success(), "{}", down.all());
    station.ended().await.unwrap();
    let left = process::of_home(station.folder());
    let lines: Vec<String> = left.iter().map(|pid| process::command_line(*pid)).collect();
    assert!(lines.is_empty(), "{lines:?}");
}

#[tokio::test]
async fn a_notebook_saves_after_a_new_login() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let path = format!("{BASE}/api/contents/note.ipynb");
    let notebook = serde_json::json!({
        "type": "notebook", "format": "json",
        "content": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    });
    kernel::api(&client, Method::PUT, &path, &notebook).await.unwrap().expect(201).unwrap();
    client.post("/logout", &Value::Null).await.unwrap();
    let refused = kernel::api(&client, Method::PUT, &path, &notebook).await.unwrap();
    let refused = refused.expect(401).unwrap().json().unwrap();
    assert!(refused["detail"].as_str().unwrap().contains("stationctl login"), "{refused}");
    // JupyterLab's dialogs show this member.
    assert_eq!(refused["message"], refused["detail"]);
    station.log_in(&client).await.unwrap();
    kernel::api(&client, Method::PUT, &path, &notebook).await.unwrap().expect(200).unwrap();
}
