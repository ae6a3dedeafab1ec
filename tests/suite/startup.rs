//! How stationd starts, and what it says when it cannot.

mod account;
mod down;
mod load;
mod passed;
mod setup;
mod watchdog;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use station_proto::app::AppPhase;
use station_proto::heartbeat::{Heartbeat, Phase};
use station_tests::process::{self, Output};
use station_tests::station::{App, Station};

const LIMIT: Duration = Duration::from_secs(30);

/// It ended by itself, not by a panic, and its message has all of `parts`.
fn refused(output: &Output, parts: &[&str]) {
    let text = output.all();
    assert!(output.status.code().is_some_and(|code| code != 0 && code != 101), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[tokio::test]
async fn it_is_ready_and_serves_without_any_configuration() {
    let mut station = Station::prepare(App::None, "").unwrap();
    std::fs::remove_file(station.home().join("stationd.toml")).unwrap();
    station.launch().await.unwrap();
    let heartbeat = station.heartbeat().await.unwrap();
    assert!(heartbeat.status.public_url.starts_with("http://127.0.0.1:"));
    assert_eq!(heartbeat.status.apps[0].name, "jupyterlab");
    let health = station.client().await.unwrap().get("/healthz").await.unwrap();
    health.expect(200).unwrap();
}

#[tokio::test]
async fn a_second_one_on_the_same_home_says_so_and_ends() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let output = station.stationd_that_ends().await.unwrap();
    refused(&output, &["another stationd", &station.pid().unwrap().to_string()]);
    station.heartbeat().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut station = Station::prepare(App::None, "app = []").unwrap();
    station.environment.push(("STATIOND_LISTEN".to_owned(), address.clone()));
    let output = station.stationd_that_ends().await.unwrap();
    refused(&output, &[&address, "in use", "listen.address"]);
}

#[tokio::test]
async fn a_home_too_deep_for_a_socket_is_refused_at_once() {
    let mut station = Station::prepare(App::None, "").unwrap();
    let deep = station.folder().join("d".repeat(100));
    std::fs::create_dir(&deep).unwrap();
    let text = deep.display().to_string();
    station.environment.push(("STATIOND_HOME".to_owned(), text));
    refused(&station.stationd_that_ends().await.unwrap(), &["107", "shorter"]);
}

#[tokio::test]
async fn a_home_that_cannot_be_written_is_named() {
    let mut station = Station::prepare(App::None, "").unwrap();
    // Not even root can make a folder there.
    station.environment.push(("STATIOND_HOME".to_owned(), "/proc/1/none".to_owned()));
    refused(&station.stationd_that_ends().await.unwrap(), &["/proc/1/none"]);
}

#[tokio::test]
async fn a_broken_configuration_leaves_the_heartbeat_up_and_mending_it_is_enough() {
    let broken = "listen = 3\n[identity]\nsession_hours = 0\n[lgo]\nlevel = \"info\"\n";
    let mut station = Station::prepare(App::None, "").unwrap();
    station.configure(broken).unwrap();
    station.launch().await.unwrap();
    let status = station.heartbeat().await.unwrap().status;
    assert_eq!(status.phase, Phase::ConfigError);
    assert!(status.apps.is_empty(), "{:?}", status.apps);
    let invalid = status.conditions.iter().find(|one| one.kind == "ConfigInvalid").unwrap();
    for field in ["listen", "session_hours", "lgo"] {
        assert!(invalid.message.contains(field), "{field}: {}", invalid.message);
    }
    let check = station.ctl(&["check"]).await.unwrap();
    assert_eq!(check.status.code(), Some(1), "{}", check.all());
    for field in ["session_hours", "lgo", "stationd.toml"] {
        assert!(check.all().contains(field), "{field}: {}", check.all());
    }
    station.configure("app = []\n").unwrap();
    let mended =
        |heartbeat: &station_proto::heartbeat::Heartbeat| heartbeat.status.phase == Phase::Ready;
    station.wait_for("the mended configuration", LIMIT, mended).await.unwrap();
    assert!(station.ctl(&["check"]).await.unwrap().status.success());
}

#[tokio::test]
async fn a_broken_configuration_at_a_restart_ends_no_app() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let good = std::fs::read_to_string(station.home().join("stationd.toml")).unwrap();
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    assert!(station.terminate().await.unwrap().success());
    station.configure(&format!("nonsense = 1\n{good}")).unwrap();
    station.launch().await.unwrap();
    assert_eq!(station.heartbeat().await.unwrap().status.phase, Phase::ConfigError);
    // Longer than an app takes to be told to stop and to end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(process::is_alive(before.pid.unwrap()));
    station.configure(&good).unwrap();
    let after = station.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!((before.pid, before.generation), (after.pid, after.generation));
}

#[tokio::test]
async fn down_stops_also_what_a_broken_configuration_does_not_name() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    assert!(station.terminate().await.unwrap().success());
    station.configure("nonsense = 1\n").unwrap();
    station.launch().await.unwrap();
    let down = station.ctl(&["down"]).await.unwrap();
    assert!(down.status.success() && down.stdout.contains("jupyterlab"), "{}", down.all());
    assert!(station.ended().await.unwrap().success());
    assert!(!process::is_alive(before.pid.unwrap()));
}

#[tokio::test]
async fn an_app_that_was_taken_out_while_stationd_was_away_is_ended_and_says_why() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    assert!(station.terminate().await.unwrap().success());
    station.configure("app = []\n").unwrap();
    station.launch().await.unwrap();
    let limit = tokio::time::Instant::now() + LIMIT;
    while process::is_alive(before.pid.unwrap()) {
        assert!(tokio::time::Instant::now() < limit, "it still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = loop {
        let events = station.events(0).await.unwrap();
        if let Some(ended) = events.into_iter().find(|event| event.kind == "app.ended") {
            break ended;
        }
        assert!(tokio::time::Instant::now() < limit, "its end is not recorded");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(ended.message.contains("it left the configuration"), "{}", ended.message);
}

#[tokio::test]
async fn text_that_is_no_toml_is_a_mistake_with_a_line() {
    let mut station = Station::prepare(App::None, "").unwrap();
    station.configure("[listen]\naddress = \n").unwrap();
    station.launch().await.unwrap();
    assert_eq!(station.heartbeat().await.unwrap().status.phase, Phase::ConfigError);
    let json = station.ctl(&["--json", "check"]).await.unwrap();
    let mistakes: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(mistakes["mistakes"][0]["line"], 2, "{mistakes}");
}

#[tokio::test]
async fn a_bad_change_leaves_the_running_configuration_in_force() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let good = std::fs::read_to_string(station.home().join("stationd.toml")).unwrap();
    station.configure(&format!("nonsense = 1\n{good}")).unwrap();
    let heartbeat = station
        .wait_for("ConfigRejected", LIMIT, |heartbeat| {
            heartbeat.status.conditions.iter().any(|one| one.kind == "ConfigRejected")
        })
        .await
        .unwrap();
    assert_eq!(heartbeat.status.apps[0].phase, AppPhase::Ready);
    station.configure(&good).unwrap();
    station
        .wait_for("it clears", LIMIT, |heartbeat| {
            heartbeat.status.conditions.iter().all(|one| one.kind != "ConfigRejected")
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_app_whose_program_is_missing_is_a_condition_that_lists_the_places() {
    let toml =
        "[[app]]\nname = \"jupyterlab\"\nkind = \"jupyterlab\"\ncommand = \"/none/jupyter-lab\"\n";
    let station = Station::start(App::None, toml).await.unwrap();
    station.app_in(AppPhase::Unavailable).await.unwrap();
    let status = station.heartbeat().await.unwrap().status;
    let missing = status.conditions.iter().find(|one| one.kind == "AppUnavailable").unwrap();
    assert!(missing.message.contains("/none/jupyter-lab"), "{}", missing.message);
    assert_eq!(status.phase, Phase::Degraded);
    let screen = station.ctl(&["status"]).await.unwrap();
    assert!(screen.stdout.contains("/none/jupyter-lab"), "{}", screen.all());
}

#[tokio::test]
async fn a_workspace_that_goes_is_a_condition_and_one_that_comes_back_clears_it() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    let workspace = station.home().join("workspace");
    // Nobody has made it yet: that is told, and no fault.
    let looked = |heartbeat: &Heartbeat| heartbeat.status.phase == Phase::Ready;
    let new = station.wait_for("the first look", LIMIT, looked).await.unwrap().status;
    assert!(!new.mounts[0].ready, "{new:#?}");
    std::fs::create_dir(&workspace).unwrap();
    let there = |heartbeat: &Heartbeat| heartbeat.status.mounts[0].ready;
    station.wait_for("the folder of the first start", LIMIT, there).await.unwrap();
    std::fs::remove_dir_all(&workspace).unwrap();
    let named = |heartbeat: &Heartbeat| {
        let status = &heartbeat.status;
        status.conditions.iter().any(|one| one.kind == "WorkspaceMissing")
            && !status.mounts[0].ready
            && !status.ready
    };
    station.wait_for("the condition", LIMIT, named).await.unwrap();
    std::fs::create_dir(&workspace).unwrap();
    let ready = |heartbeat: &Heartbeat| heartbeat.status.ready;
    station.wait_for("the folder", LIMIT, ready).await.unwrap();
}

#[tokio::test]
async fn a_removed_state_folder_is_a_condition() {
    let station = Station::start(App::None, "app = []").await.unwrap();
    std::fs::remove_dir_all(station.home().join("state")).unwrap();
    let named = |heartbeat: &Heartbeat| {
        let conditions = &heartbeat.status.conditions;
        conditions
            .iter()
            .any(|one| one.kind == "StateNotWritable" && one.message.contains("removed"))
    };
    station.wait_for("the condition", LIMIT, named).await.unwrap();
}

#[tokio::test]
async fn what_is_private_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let station = Station::start(App::None, "app = []").await.unwrap();
    let state = station.home().join("state");
    let mode = |name: &str| {
        let found = std::fs::metadata(state.join(name)).unwrap();
        (name.to_owned(), found.permissions().mode() & 0o777)
    };
    for name in ["stationd.db", "stationd.db-wal", "stationd.db-shm"] {
        assert_eq!(mode(name), (name.to_owned(), 0o600));
    }
    for name in ["keys", "logs"] {
        assert_eq!(mode(name), (name.to_owned(), 0o700));
    }
}

#[tokio::test]
async fn sigterm_ends_stationd_alone_and_says_what_still_runs() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let before = station.app_in(AppPhase::Ready).await.unwrap();
    assert!(station.terminate().await.unwrap().success());
    assert!(process::is_alive(before.pid.unwrap()));
    assert!(station.log().contains("jupyterlab"), "{}", station.log());
    station.launch().await.unwrap();
    let after = station.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!((before.pid, before.generation), (after.pid, after.generation));
}

#[tokio::test]
async fn a_full_disk_is_a_condition_and_stopping_still_works() {
    let mut station = Station::prepare(App::StandIn, "").unwrap();
    let Some(_disk) = small_disk(&station).await else {
        station_tests::skip("mounting a tmpfs needs root").unwrap();
        return;
    };
    station.launch().await.unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
    let filler = station.home().join("filler");
    fill(&filler);
    let full = |heartbeat: &station_proto::heartbeat::Heartbeat| {
        heartbeat.status.conditions.iter().any(|one| one.kind == "StateNotWritable")
    };
    // What must be remembered goes into space kept for it, until that is used up.
    let mut refused = false;
    for _ in 0..5000 {
        let link = station.admin(Method::POST, "/v1/login-links", "{}").await.unwrap();
        refused = !link.status().is_success();
        if refused {
            assert_eq!(link.status(), http::StatusCode::SERVICE_UNAVAILABLE, "{link:?}");
            break;
        }
    }
    assert!(refused, "the disk is full, and yet 5000 links were recorded");
    station.wait_for("StateNotWritable", LIMIT, full).await.unwrap();
    let second = Duration::from_secs(1);
    tokio::time::timeout(second, station.heartbeat()).await.unwrap().unwrap();
    let stop = station.admin(Method::POST, "/v1/apps/jupyterlab/stop", "").await.unwrap();
    assert!(stop.status().is_success(), "{stop:?}");
    station.app_in(AppPhase::Stopped).await.unwrap();
    std::fs::remove_file(filler).unwrap();
    station.wait_for("the disk has room again", LIMIT, |heartbeat| !full(heartbeat)).await.unwrap();
    assert!(!station.log().contains("panicked"), "{}", station.log());
}

/// A mounted file system, taken away in the end however the test ends.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "a drop cannot wait for the runtime")]
        let umount = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(umount.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Puts the home on a file system of 24 MiB; `None` where this may not be done.
async fn small_disk(station: &Station) -> Option<Disk> {
    let kept = std::fs::read_to_string(station.home().join("stationd.toml")).unwrap();
    let mut mount = process::command(Path::new("/bin/mount"));
    mount.args(["-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs"]).arg(station.home());
    let done = process::run(mount, LIMIT).await.ok()?;
    let disk = done.status.success().then(|| Disk(station.home()))?;
    station.configure(&kept).unwrap();
    Some(disk)
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [65536, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
