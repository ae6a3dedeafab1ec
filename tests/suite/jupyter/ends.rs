//! Kernels that end, each with its cause, and what shows that a kernel or terminal works.

use http::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use station_proto::app::{
    ActivityState, App as Seen, AppActivity, AppPhase, KernelEnd, SourceKind,
};
use station_proto::cause::CauseKind;
use station_tests::http::Client;
use station_tests::kernel::{Kernel, api};
use station_tests::station::{App, Station};
use station_tests::{jupyter, process};
use stationd::os::process::signal;

use super::{BASE, LIMIT, station};

/// A station whose JupyterLab may have so much memory.
async fn limited(memory_max: &str) -> Option<Station> {
    let Some(lab) = jupyter::lab() else {
        station_tests::skip(jupyter::MISSING).unwrap();
        return None;
    };
    let command = toml::Value::String(lab.canonicalize().unwrap().display().to_string());
    let app = format!(
        "[[app]]\nname = \"jupyterlab\"\nkind = \"jupyterlab\"\ncommand = {command}\n\
         memory_max = \"{memory_max}\"\n"
    );
    let station = Station::start(App::None, &app).await.unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
    Some(station)
}

async fn end_of_a_kernel(station: &Station) -> (Seen, KernelEnd) {
    let heartbeat = station
        .wait_for("the end of a kernel", LIMIT, |heartbeat| {
            heartbeat.status.apps.iter().any(|app| !app.kernel_ends.is_empty())
        })
        .await
        .unwrap();
    let app = heartbeat.status.apps[0].clone();
    let end = app.kernel_ends[0].clone();
    (app, end)
}

async fn activity(station: &Station) -> AppActivity {
    let answer = station.admin(Method::GET, "/v1/apps/jupyterlab/activity", "").await.unwrap();
    serde_json::from_slice(answer.body()).unwrap()
}

/// Looks until the app is in this state; stationd looks every ten seconds.
async fn active(station: &Station, test: impl Fn(&AppActivity) -> bool) -> AppActivity {
    process::eventually_async("the activity", LIMIT, async || {
        Some(activity(station).await).filter(|seen| test(seen))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_killed_kernel_is_told_and_the_others_go_on() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    let mut other = Kernel::start(&client, BASE).await.unwrap();
    other.run("kept = 'alive'").await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    let pid = kernel.run("import os; os.getpid()").await.unwrap().value.unwrap();
    // The attendant looks for new kernels every second.
    process::eventually_async("the kernel is watched", LIMIT, async || {
        (activity(&station).await.sources.len() >= 2).then_some(())
    })
    .await
    .unwrap();
    signal(pid.parse().unwrap(), Signal::SIGKILL).unwrap();
    let (app, end) = end_of_a_kernel(&station).await;
    assert_eq!((end.kernel.as_str(), end.cause.kind), (kernel.id.as_str(), CauseKind::Signal));
    assert_eq!(end.cause.signal, Some(9));
    assert_eq!((app.pid, app.generation), (before.pid, before.generation));
    assert_eq!(other.run("kept").await.unwrap().value.as_deref(), Some("'alive'"));
    let events = station.events(0).await.unwrap();
    let told: Vec<_> = events.iter().filter(|event| event.kind == "kernel.ended").collect();
    assert_eq!(told.len(), 1, "{events:#?}");
    let shown = station.ctl(&["app", "show", "jupyterlab"]).await.unwrap();
    assert!(shown.stdout.contains("ended by SIGKILL"), "{}", shown.all());

    // After a restart of the app the next end is news again.
    let restart = station.ctl(&["app", "restart", "jupyterlab"]).await.unwrap();
    assert!(restart.status.success(), "{}", restart.all());
    station.app_in(AppPhase::Ready).await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    let pid = kernel.run("import os; os.getpid()").await.unwrap().value.unwrap();
    active(&station, |seen| seen.sources.iter().any(|one| one.kind == SourceKind::Kernel)).await;
    signal(pid.parse().unwrap(), Signal::SIGKILL).unwrap();
    let twice = |app: &Seen| app.kernel_ends.len() == 2 && app.kernel_ends[1].kernel == kernel.id;
    station
        .wait_for("a second end", LIMIT, |heartbeat| heartbeat.status.apps.iter().any(twice))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_kernel_that_is_restarted_on_request_is_no_crash() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    kernel.run("1").await.unwrap();
    active(&station, |seen| seen.sources.iter().any(|one| one.kind == SourceKind::Kernel)).await;
    let path = format!("{BASE}/api/kernels/{}/restart", kernel.id);
    api(&client, Method::POST, &path, &json!({})).await.unwrap().expect(200).unwrap();
    let (_, end) = end_of_a_kernel(&station).await;
    assert_eq!(end.cause.kind, CauseKind::UserStop, "{end:?}");
}

#[tokio::test]
async fn a_kernel_without_memory_ends_alone_and_the_cause_has_figures() {
    let Some(station) = limited("700MiB").await else { return };
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    if before.message.contains("memory_max is not enforced") {
        station_tests::skip("no control group with a memory limit can be made here").unwrap();
        return;
    }
    let client = station.login().await.unwrap();
    let mut other = Kernel::start(&client, BASE).await.unwrap();
    other.run("kept = 'alive'").await.unwrap();
    let path = "学習 1.ipynb";
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    name(&client, &kernel, path).await;
    active(&station, |seen| seen.sources.iter().any(|one| one.name == path)).await;
    let eats = "import time\nheld = []\nwhile True:\n    held.append(bytearray(16 << 20))\n    \
                time.sleep(0.05)";
    kernel.send(eats).await.unwrap();
    let (app, end) = end_of_a_kernel(&station).await;
    assert_eq!((end.cause.kind, end.cause.signal), (CauseKind::OutOfMemory, Some(9)), "{end:?}");
    assert_eq!(end.path.as_deref(), Some(path));
    assert!(end.cause.message.contains("is 700 MiB"), "{}", end.cause.message);
    assert!(end.cause.message.contains("it used "), "{}", end.cause.message);
    assert_eq!(
        (app.pid, app.generation, app.phase),
        (before.pid, before.generation, AppPhase::Ready)
    );
    assert_eq!(other.run("kept").await.unwrap().value.as_deref(), Some("'alive'"));
}

/// Gives the kernel a notebook, as opening one in JupyterLab does.
async fn name(client: &Client, kernel: &Kernel, path: &str) {
    let session = json!({
        "path": path, "name": path, "type": "notebook", "kernel": {"id": kernel.id},
    });
    let sessions = format!("{BASE}/api/sessions");
    api(client, Method::POST, &sessions, &session).await.unwrap().expect(201).unwrap();
}

#[tokio::test]
async fn what_works_without_a_browser_counts_and_an_open_tab_does_not() {
    let Some(station) = station().await else { return };
    let client = station.login().await.unwrap();
    let mut kernel = Kernel::start(&client, BASE).await.unwrap();
    kernel.run("1").await.unwrap();
    // Requests count for a minute; what is looked at here are kernels and terminals.
    let of = |seen: &AppActivity, kind| {
        let of_kind = seen.sources.iter().filter(|one| one.kind == kind).cloned();
        of_kind.collect::<Vec<_>>()
    };
    let idle = active(&station, |seen| {
        of(seen, SourceKind::Kernel).iter().any(|one| one.state == ActivityState::Idle)
    })
    .await;
    assert!(of(&idle, SourceKind::Kernel)[0].since.is_some(), "{idle:?}");

    kernel.send("import time; time.sleep(600)").await.unwrap();
    drop(kernel);
    let busy = active(&station, |seen| {
        of(seen, SourceKind::Kernel).iter().any(|one| one.state == ActivityState::Active)
    })
    .await;
    assert_eq!(of(&busy, SourceKind::Kernel)[0].evidence, "a cell runs");

    let terminals = format!("{BASE}/api/terminals");
    let made = api(&client, Method::POST, &terminals, &Value::Null).await.unwrap();
    let made = made.expect(200).unwrap().json().unwrap();
    let quiet = active(&station, |seen| !of(seen, SourceKind::Terminal).is_empty()).await;
    let all_idle =
        of(&quiet, SourceKind::Terminal).iter().all(|one| one.state == ActivityState::Idle);
    assert!(all_idle, "{quiet:?}");
    let path = format!("{BASE}/terminals/websocket/{}", made["name"].as_str().unwrap());
    jupyter::type_into(&client, &path, "sleep 4321\r").await.unwrap();
    let works = active(&station, |seen| {
        of(seen, SourceKind::Terminal).iter().any(|one| one.state == ActivityState::Active)
    })
    .await;
    let said = of(&works, SourceKind::Terminal);
    assert!(said.iter().any(|one| one.evidence == "sleep 4321 runs in the foreground"), "{said:?}");
}

#[tokio::test]
async fn the_end_of_an_attendant_is_the_end_of_its_app() {
    let Some(station) = station().await else { return };
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    let attendants = process::of_home_with(station.folder(), "stationd attend");
    assert_eq!(attendants.len(), 1, "{attendants:?}");
    signal(attendants[0], Signal::SIGKILL).unwrap();
    let again = |app: &Seen| app.generation > before.generation && app.phase == AppPhase::Ready;
    station
        .wait_for("a new JupyterLab", LIMIT, |heartbeat| heartbeat.status.apps.iter().any(again))
        .await
        .unwrap();
    assert!(!process::is_alive(before.pid.unwrap()), "the old JupyterLab still runs");
    assert_eq!(process::of_home_with(station.folder(), "stationd attend").len(), 1);
}
