//! Large bodies, many websockets and many failures, with flat memory and no descriptor left open.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use station_proto::app::AppPhase;
use station_tests::http::{Upgraded, whole};
use station_tests::process;
use station_tests::standin::{self, Behaviour};
use station_tests::station::{App, Station};
use tokio_tungstenite::tungstenite::Message;

const GIB: usize = 1 << 30;
const BLOCK: usize = 64 * 1024;
/// What stationd may grow while a gibibyte passes.
const GROWTH_KIB: u64 = 32 * 1024;

#[tokio::test]
async fn a_gibibyte_down_and_up_with_flat_memory() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let pid = station.pid().unwrap();
    let before = process::rss_kib(pid).unwrap();
    let mut most = before;

    let path = format!("/apps/jupyterlab/bytes/{GIB}");
    let request =
        client.request(&Method::GET, &path, &[], http_body_util::Empty::<Bytes>::new()).unwrap();
    let mut body = client.send(request).await.unwrap().into_body();
    let mut count = 0;
    let mut blocks = 0_u32;
    while let Some(frame) = body.frame().await {
        count += frame.unwrap().data_ref().map_or(0, Bytes::len);
        blocks += 1;
        if blocks.is_multiple_of(1000) {
            most = most.max(process::rss_kib(pid).unwrap());
        }
    }
    assert_eq!(count, GIB);

    let block = Bytes::from(vec![7; BLOCK]);
    let blocks = stream::iter(0..GIB / BLOCK)
        .map(move |_| Ok::<_, std::convert::Infallible>(Frame::data(block.clone())));
    let body = StreamBody::new(blocks);
    let request = client.request(&Method::POST, "/apps/jupyterlab/upload", &[], body).unwrap();
    let answer = whole(client.send(request).await.unwrap()).await.unwrap();
    assert_eq!(answer.text(), GIB.to_string());
    most = most.max(process::rss_kib(pid).unwrap());
    assert!(most < before + GROWTH_KIB, "{before} KiB grew to {most} KiB");
}

#[tokio::test]
async fn five_hundred_websockets_and_none_is_dropped() {
    const COUNT: usize = 500;
    process::raise_file_limit().unwrap();
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = &station.login().await.unwrap();
    let mut sockets: Vec<_> = stream::iter(0..COUNT)
        .map(|_| client.open_websocket("/apps/jupyterlab/echo"))
        .buffer_unordered(32)
        .try_collect()
        .await
        .unwrap();
    for round in 0..3 {
        for (n, socket) in sockets.iter_mut().enumerate() {
            socket.send(Message::text(format!("{round} {n}"))).await.unwrap();
        }
        for (n, socket) in sockets.iter_mut().enumerate() {
            let next = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap();
            assert_eq!(next.unwrap().unwrap(), Message::text(format!("{round} {n}")));
        }
    }
    let large = Message::binary(vec![5; 8 << 20]);
    sockets[0].send(large.clone()).await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(60), sockets[0].next()).await.unwrap();
    assert!(next.unwrap().unwrap() == large, "8 MiB came back changed");
}

#[tokio::test]
async fn a_thousand_failed_upgrades_leave_nothing_open() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = &station.login().await.unwrap();
    let pid = station.pid().unwrap();
    let fail = |count: usize| async move {
        stream::iter(0..count)
            .map(|_| client.websocket("/apps/jupyterlab/echo", &[]))
            .buffer_unordered(16)
            .try_for_each(|upgraded| async move {
                anyhow::ensure!(matches!(upgraded, Upgraded::Refused(_)), "it opened");
                Ok(())
            })
            .await
            .unwrap();
    };
    standin::behave(station.folder(), Behaviour::RefuseUpgrades).unwrap();
    fail(20).await;
    let before = process::open_files(pid).unwrap();
    fail(500).await;
    let stop = station.admin(Method::POST, "/v1/apps/jupyterlab/stop", "").await.unwrap();
    assert!(stop.status().is_success());
    station.app_in(AppPhase::Stopped).await.unwrap();
    fail(500).await;
    process::eventually("descriptors are closed", Duration::from_secs(30), || {
        let now = process::open_files(pid).ok()?;
        (now <= before + 4).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_dead_app_has_a_page_with_its_end_and_its_log() {
    let station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    standin::behave(station.folder(), Behaviour::CrashAtStart).unwrap();
    let pid = station.app_in(AppPhase::Ready).await.unwrap().pid.unwrap();
    stationd::os::process::signal(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    station
        .wait_for("it ended twice", Duration::from_secs(60), |heartbeat| {
            heartbeat.status.apps.iter().any(|app| app.failures >= 2)
        })
        .await
        .unwrap();
    station.app_in(AppPhase::Backoff).await.unwrap();
    let page = client.page("/apps/jupyterlab/lab").await.unwrap();
    let text = page.text();
    assert!(page.status.is_server_error(), "{text}");
    assert_ne!(page.header("retry-after"), "");
    for part in ["jupyterlab", "exit code 3", "StandInError", "Restart"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("<script>alert"), "a log line became markup");
    assert!(!text.contains("hunter2"), "a secret of the log is shown");
    let problem = client.get("/apps/jupyterlab/api/contents").await.unwrap();
    assert_eq!(problem.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_crash_loop_is_slowed_down_and_named_and_ends_on_request() {
    let station = Station::prepare(App::StandIn, "").unwrap();
    standin::behave(station.folder(), Behaviour::CrashAtStart).unwrap();
    let mut station = station;
    station.launch().await.unwrap();
    let app = station.app_in(AppPhase::Failed).await.unwrap();
    assert!(app.failures >= 6, "{app:?}");
    let status = station.heartbeat().await.unwrap().status;
    assert!(status.conditions.iter().any(|one| one.kind == "AppCrashLoop"));
    standin::behave(station.folder(), Behaviour::Work).unwrap();
    let start = station.ctl(&["app", "start", "jupyterlab"]).await.unwrap();
    assert!(start.status.success(), "{}", start.all());
    station.app_in(AppPhase::Ready).await.unwrap();
}

#[tokio::test]
async fn stopping_ends_what_left_the_session_and_ignores_sigterm() {
    let station = Station::prepare(App::StandIn, "").unwrap();
    standin::behave(station.folder(), Behaviour::Escape).unwrap();
    let mut station = station;
    station.launch().await.unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
    let escaped = process::eventually("the children", Duration::from_secs(20), || {
        let found = process::of_home_with(station.folder(), "sleep 123");
        (found.len() >= 2).then_some(found)
    });
    let escaped = escaped.await.unwrap();
    let stop = station.ctl(&["app", "stop", "jupyterlab"]).await.unwrap();
    assert!(stop.status.success(), "{}", stop.all());
    station.app_in(AppPhase::Stopped).await.unwrap();
    for pid in escaped {
        assert!(!process::is_alive(pid), "{} still runs", process::command_line(pid));
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_neither_stops_the_app_nor_fills_the_disk() {
    let station = Station::prepare(App::StandIn, "").unwrap();
    standin::behave(station.folder(), Behaviour::Flood).unwrap();
    let mut station = station;
    station.launch().await.unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
    let logs = station.home().join("state/logs/apps");
    let size = || {
        std::fs::read_dir(&logs)
            .unwrap()
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .map(|data| data.len())
            .sum::<u64>()
    };
    process::eventually("two rotations", Duration::from_secs(90), || {
        (std::fs::read_dir(&logs).ok()?.count() >= 3).then_some(())
    })
    .await
    .unwrap();
    assert!(size() <= 70 << 20, "{} bytes of logs", size());
    let client = station.login().await.unwrap();
    client.get("/apps/jupyterlab/head").await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn an_app_that_starts_has_a_page_that_waits_for_it() {
    let station = Station::prepare(App::StandIn, "").unwrap();
    standin::behave(station.folder(), Behaviour::NeverListen).unwrap();
    let mut station = station;
    station.launch().await.unwrap();
    station.app_in(AppPhase::Starting).await.unwrap();
    let client = station.login().await.unwrap();
    let asked = client.page("/apps/jupyterlab/lab");
    let page = tokio::time::timeout(Duration::from_secs(5), asked).await.unwrap().unwrap();
    let page = page.expect(503).unwrap();
    assert_ne!(page.header("retry-after"), "");
    assert!(page.text().contains("jupyterlab is starting"), "{}", page.text());
}
