//! Starts, ends, kills and adoptions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use station_proto::app::AppPhase;
use station_proto::cause::CauseKind;
use stationd::apps::{AppsError, Seen};
use stationd::os::process;

use crate::rig::{ALIVE, Home, LIMIT, lab, without_keepers};

#[tokio::test]
async fn it_starts_answers_stops_and_leaves_nothing() {
    let home = Home::with_program();
    let life = home.live();
    let seen = life.phase(AppPhase::Ready).await;
    assert_eq!((seen.generation, seen.failures, seen.wanted), (1, 0, true));
    assert_eq!(seen.activity.unwrap().busy, 1);
    assert_eq!(home.processes(), ALIVE);
    let mode = fs::metadata(seen.socket.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let lines = life.apps.logs("jupyterlab", 10).await.unwrap();
    assert!(lines.contains(&"serving /apps/jupyterlab/ token=…".to_owned()), "{lines:?}");
    life.apps.stop("jupyterlab").await.unwrap();
    let seen = life.phase(AppPhase::Stopped).await;
    assert_eq!(seen.last_end.unwrap().kind, CauseKind::UserStop);
    assert_eq!(home.processes(), 0);
    let expected = ["app.starting", "app.ready", "app.stopping", "app.ended", "app.stopped"];
    assert_eq!(life.events().await, expected);
    life.end().await;
    // The wish outlives stationd.
    let life = home.live();
    let seen = life.phase(AppPhase::Stopped).await;
    assert_eq!((seen.wanted, seen.generation), (false, 1));
    assert!(seen.last_end.is_some());
    life.apps.start("jupyterlab").await.unwrap();
    assert_eq!(life.phase(AppPhase::Ready).await.generation, 2);
    let report = life.apps.shutdown(LIMIT).await;
    assert_eq!((report.stopped, report.left), (vec![lab()], Vec::new()));
    assert_eq!(home.processes(), 0);
    life.end().await;
}

#[tokio::test]
async fn a_second_life_adopts_the_same_process() {
    let home = Home::with_program();
    let life = home.live();
    let first = life.phase(AppPhase::Ready).await;
    life.end().await;
    assert_eq!(home.processes(), ALIVE, "the end of stationd ends no app");
    let life = home.live();
    let second = life.phase(AppPhase::Ready).await;
    assert_eq!((second.pid, second.generation), (first.pid, 1));
    assert!(!second.restart_pending);
    assert!(life.events().await.contains(&"app.adopted".to_owned()));
    life.end().await;
    // A third one has a configuration that would start something else.
    let mut home = home;
    home.root.folder = home.place.path().join("workspace/Users/bob");
    let life = home.live();
    let third = life.phase(AppPhase::Ready).await;
    assert_eq!((third.pid, third.restart_pending), (first.pid, true));
    life.apps.restart("jupyterlab").await.unwrap();
    let fourth = life.phase(AppPhase::Ready).await;
    assert_eq!((fourth.generation, fourth.restart_pending), (2, false));
    life.end().await;
}

#[tokio::test]
async fn an_end_that_nobody_watched_is_recorded_truly() {
    let home = Home::with_program();
    let life = home.live();
    let first = life.phase(AppPhase::Ready).await;
    life.end().await;
    process::signal(first.pid.unwrap(), Signal::SIGSEGV).unwrap();
    home.over().await;
    let life = home.live();
    let second =
        life.until("ready again", |s| s.generation == 2 && s.phase == AppPhase::Ready).await;
    let end = second.last_end.unwrap();
    assert_eq!((end.kind, end.signal), (CauseKind::Signal, Some(11)));
    life.end().await;
}

#[tokio::test]
async fn a_killed_app_is_started_again_with_its_cause() {
    let home = Home::with_program();
    let life = home.live();
    let first = life.phase(AppPhase::Ready).await;
    process::signal(first.pid.unwrap(), Signal::SIGKILL).unwrap();
    let second = life.until("a second start", |s| s.generation == 2 && s.pid.is_some()).await;
    let end = second.last_end.unwrap();
    assert_eq!((end.kind, end.signal), (CauseKind::Signal, Some(9)));
    assert_eq!(end.last_lines, ["serving /apps/jupyterlab/ token=…"]);
    life.until("ready again", |s| s.generation == 2 && s.phase == AppPhase::Ready).await;
    assert_eq!(home.processes(), ALIVE);
    life.end().await;
}

#[tokio::test]
async fn a_killed_keeper_takes_its_app_along_and_both_come_back() {
    if without_keepers() {
        return;
    }
    let home = Home::with_program();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    process::signal(home.kept().keeper.pid, Signal::SIGKILL).unwrap();
    let second =
        life.until("ready again", |s| s.generation == 2 && s.phase == AppPhase::Ready).await;
    let end = second.last_end.unwrap();
    assert_eq!((end.kind, end.exit_code), (CauseKind::KeeperLost, None));
    assert_eq!(home.processes(), ALIVE);
    life.end().await;
}

#[tokio::test]
async fn keeper_and_stationd_killed_together_leave_one_instance() {
    if without_keepers() {
        return;
    }
    let home = Home::with_program();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    life.end().await;
    let keeper = home.kept().keeper;
    process::signal(keeper.pid, Signal::SIGKILL).unwrap();
    while keeper.alive() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let life = home.live();
    let second = life.phase(AppPhase::Ready).await;
    let end = second.last_end.unwrap().kind;
    assert_eq!((end, second.generation, home.processes()), (CauseKind::KeeperLost, 2, ALIVE));
    life.end().await;
}

#[tokio::test]
async fn a_crash_loop_opens_the_breaker_and_shows_the_last_lines() {
    let home = Home::with_program();
    fs::write(home.place.path().join("workspace/crash"), "").unwrap();
    let life = home.live();
    // A user who asks again and again does not wait for the back-off, and meets the breaker.
    let seen = loop {
        let ended = |s: &Seen| matches!(s.phase, AppPhase::Backoff | AppPhase::Failed);
        let seen = life.until("an end", ended).await;
        if seen.phase == AppPhase::Failed {
            break seen;
        }
        drop(life.apps.start("jupyterlab").await);
    };
    assert_eq!(seen.failures, 6);
    let end = seen.last_end.unwrap();
    assert_eq!((end.kind, end.exit_code), (CauseKind::Exit, Some(1)));
    assert_eq!(end.last_lines.last().unwrap(), "cannot go on");
    fs::remove_file(home.place.path().join("workspace/crash")).unwrap();
    life.apps.start("jupyterlab").await.unwrap();
    assert_eq!(life.phase(AppPhase::Ready).await.generation, 7);
    life.end().await;
}

#[tokio::test]
async fn a_missing_program_is_unavailable_until_it_is_there() {
    let home = Home::new();
    let life = home.live();
    let seen = life.phase(AppPhase::Unavailable).await;
    assert!(seen.message.contains("tools/bin/lab (configured)"), "{}", seen.message);
    assert!(seen.message.contains("scripts/up"), "{}", seen.message);
    let refused = life.apps.start("jupyterlab").await;
    assert!(matches!(refused, Err(AppsError::Unavailable { .. })), "{refused:?}");
    home.install();
    life.apps.start("jupyterlab").await.unwrap();
    assert_eq!(life.phase(AppPhase::Ready).await.generation, 1);
    assert!(matches!(life.apps.start("other").await, Err(AppsError::Unknown { .. })));
    life.end().await;
}

#[tokio::test]
async fn a_socket_path_that_is_too_long_says_so() {
    let mut home = Home::with_program();
    home.root.sockets = home.place.path().join("x".repeat(100));
    let life = home.live();
    let seen = life.phase(AppPhase::Backoff).await;
    assert!(seen.message.contains("shorter STATIOND_HOME"), "{}", seen.message);
    assert_eq!(seen.last_end.unwrap().kind, CauseKind::StartFailed);
    life.end().await;
}

#[tokio::test]
async fn a_missing_workspace_is_made_or_named() {
    for own in [true, false] {
        let mut home = Home::with_program();
        fs::remove_dir(home.place.path().join("workspace")).unwrap();
        home.root.own_workspace = own;
        let life = home.live();
        life.phase(AppPhase::Ready).await;
        assert!(home.place.path().join("workspace/Users/ada").is_dir());
        life.end().await;
    }
    let mut home = Home::with_program();
    home.root.workspace = home.place.path().join("tools/bin/lab/workspace");
    home.root.folder = home.root.workspace.clone();
    let life = home.live();
    let seen = life.phase(AppPhase::Backoff).await;
    assert!(seen.message.contains("check the workspace"), "{}", seen.message);
    life.end().await;
}

#[tokio::test]
async fn whatever_the_user_put_at_the_socket_is_removed() {
    let home = Home::with_program();
    let socket = home.root.socket(&lab());
    fs::create_dir_all(socket.join("full/of")).unwrap();
    fs::set_permissions(socket.join("full"), fs::Permissions::from_mode(0o500)).unwrap();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    life.end().await;
}

#[tokio::test]
async fn an_app_that_left_the_configuration_is_stopped() {
    let home = Home::with_program();
    let life = home.live();
    life.phase(AppPhase::Ready).await;
    life.apps.configure(Vec::new()).await.unwrap();
    let mut seen = life.apps.seen();
    let gone = seen.wait_for(|all| all.is_empty());
    tokio::time::timeout(LIMIT, gone).await.unwrap().unwrap();
    assert_eq!(home.processes(), 0);
    life.end().await;
}
