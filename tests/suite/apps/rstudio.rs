//! RStudio through stationd, with the strict stand-in for its server.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use station_proto::app::AppPhase;
use station_proto::cause::CauseKind;
use station_tests::http::{Answer, Client};
use station_tests::process::{self, eventually};
use station_tests::rserver::session::traces;
use station_tests::station::Station;
use stationd::os::file::write_atomic;

use super::{activity, activity_until, app_in, home, program, run};

const APP: &str = "/apps/rstudio";

/// A station with RStudio, whose server gets `more` variables.
async fn station(more: &str) -> Station {
    let mut station = home();
    let folder = station.folder().to_owned();
    for name in ["home", "var"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    let server = process::binary("rserver").unwrap();
    let (folder, server) = (folder.display(), server.display());
    let script = format!(
        "#!/bin/sh\nexport HOME={folder}/home FAKE_RSERVER_VAR={folder}/var \
         FAKE_RSERVER_POLL_MS=500 {more}\nexec {server} \"$@\"\n"
    );
    let command = program(&station, "rserver", &script);
    let toml = format!("[[app]]\nname = \"rstudio\"\nkind = \"rstudio\"\ncommand = {command:?}\n");
    run(&mut station, &toml).await;
    station
}

fn home_of(station: &Station) -> PathBuf {
    station.folder().join("home")
}

fn session(station: &Station) -> Option<i32> {
    process::of_home_with(station.folder(), "rstudio-rsession").into_iter().next()
}

async fn call(client: &Client, method: &str, id: &str, params: Value) -> Answer {
    let token = client.cookie("rs-csrf-token").unwrap_or_default();
    let headers = [("x-rs-csrf-token", token.as_str()), ("content-type", "application/json")];
    let body = json!({ "clientId": id, "params": params }).to_string();
    client.call(Method::POST, &format!("{APP}{method}"), &headers, body.into()).await.unwrap()
}

/// Opens the page as a browser does and gives the client's id.
async fn open(station: &Station, client: &Client) -> String {
    let first = client.page(&format!("{APP}/")).await.unwrap().expect(302).unwrap();
    // The server says it with scheme and host.
    assert_eq!(first.header("location"), format!("{APP}/s/00000001/"));
    let cookies: Vec<&str> =
        first.headers.get_all("set-cookie").iter().map(|one| one.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    for cookie in &cookies {
        let paths =
            cookie.split("; ").filter(|part| part.to_ascii_lowercase().starts_with("path="));
        let paths: Vec<_> = paths.map(|part| part[5..].trim_end_matches('/')).collect();
        assert_eq!(paths, [APP], "{cookie}");
    }
    let page = client.page(&format!("{APP}/s/00000001/")).await.unwrap().expect(200).unwrap();
    let work = std::fs::canonicalize(station.home().join("workspace")).unwrap();
    let said = page.text().split("<p>").nth(1).unwrap().to_owned();
    assert!(said.starts_with(work.to_str().unwrap()), "it begins in the user's folder: {said}");
    assert!(std::path::Path::new(&said).is_dir(), "{said} is there");
    let init = call(client, "/rpc/client_init", "", json!([])).await.json().unwrap();
    init["result"]["clientId"].as_str().unwrap().to_owned()
}

fn source<'a>(activity: &'a Value, kind: &str) -> &'a Value {
    let of = |one: &&Value| one["kind"] == kind;
    activity["sources"].as_array().unwrap().iter().find(of).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_person_signs_in_works_and_what_they_do_counts() {
    let station = station("").await;
    app_in(&station, "rstudio", AppPhase::Ready).await;
    let client = station.login().await.unwrap();
    let id = open(&station, &client).await;
    // Without the token nothing is done.
    let headers = [("content-type", "application/json")];
    let refused =
        client.call(Method::POST, &format!("{APP}/rpc/client_init"), &headers, "{}".into()).await;
    assert!(refused.unwrap().text().contains("Unauthorized"));
    let used =
        |seen: &Value| source(seen, "use")["evidence"].as_str().unwrap_or_default().to_owned();
    let before = activity_until(&station, "rstudio", |seen| !used(seen).is_empty()).await;
    assert!(used(&before).contains("/rpc/client_init"), "{before}");
    // A command that only waits: no CPU, and R executes it all the same.
    call(&client, "/rpc/console_input", &id, json!([3_600_000])).await.expect(200).unwrap();
    call(&client, "/events/get_events", &id, json!([])).await.expect(200).unwrap();
    call(&client, "/events/get_events", &id, json!([])).await.expect(200).unwrap();
    let busy = activity_until(&station, "rstudio", |seen| {
        source(seen, "r_session")["evidence"] == "R executes a command"
    })
    .await;
    assert_eq!(
        (&busy["state"], &source(&busy, "r_session")["state"]),
        (&json!("active"), &json!("active"))
    );
    assert!(
        used(&busy).contains("/rpc/console_input"),
        "the page's own polls do not count: {busy}"
    );
}

/// Stops the app while its session waits, or works for an hour.
async fn stop_with_session(busy: bool) {
    let station = station("").await;
    app_in(&station, "rstudio", AppPhase::Ready).await;
    let client = station.login().await.unwrap();
    let id = open(&station, &client).await;
    if busy {
        call(&client, "/rpc/console_input", &id, json!([3_600_000])).await.expect(200).unwrap();
    }
    assert!(session(&station).is_some());
    assert_eq!(traces(&home_of(&station)), (false, true), "it runs");
    let stopped = station.ctl(&["app", "stop", "rstudio"]).await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.all());
    let end = app_in(&station, "rstudio", AppPhase::Stopped).await.last_end.unwrap();
    assert_eq!(end.kind, CauseKind::UserStop, "{end:?}");
    assert_eq!(traces(&home_of(&station)), (true, false), "suspended, in order");
    let left = process::of_home_with(station.folder(), "rse");
    assert!(left.is_empty(), "{left:?}");
    // And what was suspended comes back.
    let start = station.ctl(&["app", "start", "rstudio"]).await.unwrap();
    assert!(start.status.success(), "{}", start.all());
    app_in(&station, "rstudio", AppPhase::Ready).await;
    let init = call(&client, "/rpc/client_init", "", json!([])).await.json().unwrap();
    let result = &init["result"];
    assert_eq!((&result["resumed"], &result["had_abend"]), (&json!(true), &json!(false)), "{init}");
}

#[tokio::test]
async fn a_stop_suspends_a_session_that_waits() {
    stop_with_session(false).await;
}

#[tokio::test]
async fn a_stop_suspends_a_session_that_works() {
    stop_with_session(true).await;
}

#[tokio::test]
async fn a_server_that_is_not_up_yet_is_shown_as_starting() {
    let station = station("FAKE_RSERVER_SLOW_MS=3600000").await;
    app_in(&station, "rstudio", AppPhase::Starting).await;
    let client = station.login().await.unwrap();
    let listens = || {
        let socket = station.home().join("run/apps/rstudio/i.sock");
        std::os::unix::net::UnixStream::connect(socket).ok()
    };
    eventually("the server's socket", Duration::from_secs(30), listens).await.unwrap();
    let page = client.page(&format!("{APP}/")).await.unwrap().expect(503).unwrap();
    assert_eq!(page.header("x-app-state"), "starting", "{}", page.text());
    assert_eq!(activity(&station, "rstudio").await["state"], "unknown");
}

#[tokio::test]
async fn a_silent_death_is_explained() {
    let mut station = home();
    let config = station.folder().join("config");
    std::fs::create_dir(&config).unwrap();
    let key = config.join("session-rpc-key");
    // Root can read everything, but an empty key is none for anybody.
    write_atomic(&key, b"", 0o600).unwrap();
    let script = format!(
        "#!/bin/sh\nexport RSTUDIO_CONFIG_DIR={} HOME={}\nexec {} \"$@\"\n",
        config.display(),
        station.folder().display(),
        process::binary("rserver").unwrap().display()
    );
    let command = program(&station, "rserver", &script);
    // The attendant sees the variables of the app, and they come from stationd's own environment.
    station.environment.push(("RSTUDIO_CONFIG_DIR".into(), config.display().to_string()));
    let toml = format!("[[app]]\nname = \"rstudio\"\nkind = \"rstudio\"\ncommand = {command:?}\n");
    run(&mut station, &toml).await;
    let ended = super::app(&station, "rstudio", |app| app.last_end.is_some()).await;
    let end = ended.last_end.unwrap();
    let lines = end.last_lines.join("\n");
    assert_eq!((end.kind, end.exit_code), (CauseKind::Exit, Some(1)), "{end:?}");
    for part in [key.to_str().unwrap(), "is empty", "remove that file"] {
        assert!(lines.contains(part), "{part} is missing in {lines}");
    }
}
