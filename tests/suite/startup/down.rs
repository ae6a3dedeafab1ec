//! `stationctl down`, again and again: it must never hang, and nothing may stay.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use station_proto::heartbeat::{Heartbeat, Phase};
use station_tests::process;
use station_tests::station::{App, Station};
use stationd::os::process::signal;
use tokio::io::AsyncWriteExt;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test measures with a clock of its own")]
async fn ten_times_in_a_row_it_is_quick_and_leaves_nothing() {
    let mut station = Station::prepare(App::StandIn, "").unwrap();
    for round in 0..10 {
        station.launch().await.unwrap();
        station.app_in(station_proto::app::AppPhase::Ready).await.unwrap();
        let began = Instant::now();
        let down = station.ctl(&["down"]).await.unwrap();
        assert!(down.status.success(), "round {round}: {}", down.all());
        assert!(station.ended().await.unwrap().success(), "round {round}");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "round {round} took {took:?}: {}", station.log());
        assert_eq!(process::of_home(&station.home()), Vec::<i32>::new(), "round {round}");
    }
}

/// `stationctl down` that is interrupted: what it began is brought to its end.
#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_the_stop() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    // A keeper that does not run for a while makes the stop wait.
    let keepers = process::of_home_with(&station.home(), "keep");
    let all = |what| keepers.iter().for_each(|pid| signal(*pid, what).unwrap());
    all(Signal::SIGSTOP);
    let mut caller = tokio::net::UnixStream::connect(station.socket()).await.unwrap();
    let request = b"POST /v1/down HTTP/1.1\r\nHost: stationd\r\nContent-Length: 0\r\n\r\n";
    caller.write_all(request).await.unwrap();
    let stopping = |heartbeat: &Heartbeat| heartbeat.status.phase == Phase::Stopping;
    station.wait_for("phase stopping", Duration::from_secs(20), stopping).await.unwrap();
    drop(caller);
    // stationd notices that the caller has left before anything else happens.
    tokio::time::sleep(Duration::from_millis(300)).await;
    all(Signal::SIGCONT);
    assert!(station.ended().await.unwrap().success());
    assert_eq!(process::of_home(&station.home()), Vec::<i32>::new());
}

/// A configuration that was mended, but cannot be used, leaves the heartbeat up and says why.
#[tokio::test]
async fn a_taken_port_in_a_mended_configuration_is_a_condition() {
    let limit = Duration::from_secs(30);
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut station = Station::prepare(App::None, "").unwrap();
    station.environment.push(("STATIOND_LISTEN".to_owned(), String::new()));
    station.configure("nonsense = 1\n").unwrap();
    station.launch().await.unwrap();
    station.configure(&format!("app = []\n[listen]\naddress = \"{address}\"\n")).unwrap();
    let named = |heartbeat: &station_proto::heartbeat::Heartbeat| {
        heartbeat.status.phase == Phase::ConfigError
            && heartbeat.status.conditions.iter().any(|one| one.message.contains(&address))
    };
    station.wait_for("the taken port", limit, named).await.unwrap();
    drop(taken);
    station.configure(&format!("app = []\n[listen]\naddress = \"{address}\" # free\n")).unwrap();
    let ready =
        |heartbeat: &station_proto::heartbeat::Heartbeat| heartbeat.status.phase == Phase::Ready;
    station.wait_for("the free port", limit, ready).await.unwrap();
}
