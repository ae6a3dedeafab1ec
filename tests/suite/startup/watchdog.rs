//! The watchdog: fed as long as every loop goes round; and what an abort leaves.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use station_proto::app::AppPhase;
use station_tests::process;
use station_tests::station::{App, Station};
use stationd::os::process::signal;
use tokio::net::UnixDatagram;

const LIMIT: Duration = Duration::from_secs(30);
/// Of the watchdog: four rounds of it.
const TIME: Duration = Duration::from_millis(800);

async fn watched(app: App) -> (Station, UnixDatagram) {
    let mut station =
        Station::prepare(app, if app == App::None { "app = []" } else { "" }).unwrap();
    let micros = TIME.as_micros().to_string();
    station.environment.push(("WATCHDOG_USEC".to_owned(), micros));
    let told = station.launch_told().await.unwrap();
    (station, told)
}

/// Waits for the next WATCHDOG=1; `false` if none comes within `limit`.
async fn fed(told: &UnixDatagram, limit: Duration) -> bool {
    let mut text = [0; 4096];
    let comes = async {
        loop {
            let length = told.recv(&mut text).await.unwrap();
            if String::from_utf8_lossy(&text[..length]).contains("WATCHDOG=1") {
                return;
            }
        }
    };
    tokio::time::timeout(limit, comes).await.is_ok()
}

/// Takes what has been told so far.
fn forget(told: &UnixDatagram) {
    while told.try_recv(&mut [0; 4096]).is_ok() {}
}

#[tokio::test]
async fn it_is_fed_again_and_again_also_after_a_pause_of_the_whole_process() {
    let (station, told) = watched(App::None).await;
    for _ in 0..10 {
        assert!(fed(&told, LIMIT).await, "{}", station.log());
    }
    let pid = station.pid().unwrap();
    signal(pid, Signal::SIGSTOP).unwrap();
    process::eventually("it is stopped", LIMIT, || {
        let stat = stationd::os::process::Stat::read(pid)?;
        (stat.state == 'T').then_some(())
    })
    .await
    .unwrap();
    forget(&told);
    assert!(!fed(&told, TIME * 2).await);
    signal(pid, Signal::SIGCONT).unwrap();
    for _ in 0..10 {
        assert!(fed(&told, LIMIT).await, "{}", station.log());
    }
    assert!(!station.log().contains("does not answer"), "{}", station.log());
}

#[tokio::test]
async fn a_loop_that_hangs_is_named_stops_the_feeding_and_stands_in_the_trace() {
    let (mut station, told) = watched(App::StandIn).await;
    let app = station.app_in(AppPhase::Ready).await.unwrap();
    assert!(fed(&told, LIMIT).await);
    // A file whose reading does not end: the reload hangs in it.
    let file = station.home().join("stationd.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let pipe = station.home().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    std::fs::rename(&pipe, &file).unwrap();
    let named = || station.log().contains("a loop does not answer").then_some(());
    process::eventually("the loop is named", LIMIT, named).await.unwrap();
    forget(&told);
    assert!(!fed(&told, TIME * 2).await, "{}", station.log());
    assert_eq!(station.log().matches("a loop does not answer").count(), 1, "{}", station.log());
    // As systemd does then.
    signal(station.pid().unwrap(), Signal::SIGABRT).unwrap();
    assert_eq!(station.ended().await.unwrap().signal(), Some(Signal::SIGABRT as i32));
    let path = station.home().join("state/abort.trace");
    let trace = std::fs::read_to_string(&path).unwrap();
    assert!(trace.contains("no answer from reload for "), "{trace}");
    assert!(trace.contains("lane-0") && trace.contains("store-writer"), "{trace}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(station.log().contains("no answer from reload for "), "{}", station.log());
    assert!(process::is_alive(app.pid.unwrap()));

    std::fs::remove_file(&file).unwrap();
    station.configure(&good).unwrap();
    station.launch().await.unwrap();
    let after = station.app_in(AppPhase::Ready).await.unwrap();
    assert_eq!((app.pid, app.generation), (after.pid, after.generation));
    let told = process::eventually_async("the event", LIMIT, || async {
        let events = station.events(0).await.ok()?;
        events.into_iter().find(|event| event.kind == "daemon.aborted")
    });
    let told = told.await.unwrap();
    assert!(told.message.contains("no answer from reload"), "{}", told.message);
    process::eventually("it is moved aside", LIMIT, || (!path.exists()).then_some(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn without_a_watchdog_nothing_is_fed_and_an_abort_leaves_its_trace_too() {
    let mut station = Station::prepare(App::None, "app = []").unwrap();
    let told = station.launch_told().await.unwrap();
    assert!(!fed(&told, Duration::from_secs(1)).await);
    signal(station.pid().unwrap(), Signal::SIGABRT).unwrap();
    assert_eq!(station.ended().await.unwrap().signal(), Some(Signal::SIGABRT as i32));
    let trace = std::fs::read_to_string(station.home().join("state/abort.trace")).unwrap();
    assert!(trace.contains("every loop answered"), "{trace}");
}
