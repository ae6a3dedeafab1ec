//! The API's description, exercised by schemathesis: whatever the description allows, and what it does
//! not, is sent to a running station, and each answer must be one that is described.

use std::path::Path;
use std::time::Duration;

use station_proto::app::AppPhase;
use station_proto::token::Action;
use station_tests::process;
use station_tests::station::{App, Station};

/// Seconds for its random part; the systematic one takes a few more.
const SECONDS: &str = "40";
const SEED: &str = "1";
const LIMIT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn every_answer_is_one_that_is_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = root.join(".cache/schemathesis/bin/schemathesis");
    if !program.exists() {
        station_tests::skip("schemathesis is not installed: scripts/test does it").unwrap();
        return;
    }
    let station = Station::with_app(App::StandIn).await.unwrap();
    let mut arguments = vec!["token", "create", "--ttl", "1h"];
    arguments.extend(Action::ALL.iter().flat_map(|action| ["--action", action.name()]));
    let made = station.ctl(&arguments).await.unwrap();
    let bearer = format!("Authorization: Bearer {}", made.stdout.trim_end());
    let url = station.heartbeat().await.unwrap().status.public_url;
    let document = station.folder().join("openapi.json");
    let text = serde_json::to_vec(&stationd::admin::openapi()).unwrap();
    stationd::os::file::write_atomic(&document, &text, 0o600).unwrap();
    let mut command = process::command(&program);
    // It writes what it has learned beside it.
    command.current_dir(station.folder());
    command.args(["run", &document.display().to_string(), "--url", &url, "--header", &bearer]);
    command.args(["--max-time", SECONDS, "--phases", "examples,coverage,fuzzing", "--no-color"]);
    // Long polls may wait, but each answer must come. One that follows events never ends.
    command.args(["--request-timeout", "70", "--exclude-path", "/v1/events"]);
    command.args(["--generation-database", "none"]);
    // The same every time, but for `scripts/test --full`, which goes on looking.
    if std::env::var_os("STATIOND_TEST_FULL").is_none() {
        command.args(["--seed", SEED]);
    }
    // Whoever may not use a path does not learn which methods it has; and what a field may hold is more
    // than a schema says: an app or actions, a name in a path without what proxies disagree on.
    command.args(["--exclude-checks", "unsupported_method,positive_data_acceptance"]);
    let output = process::run(command, LIMIT).await.unwrap();
    assert!(output.status.success(), "{}", output.all());
    // Whatever was sent, the station still works.
    station.admin(http::Method::POST, "/v1/apps/jupyterlab/start", "").await.unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
}
