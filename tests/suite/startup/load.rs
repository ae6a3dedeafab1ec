//! What many open connections may not do: take the last descriptor, or hold up the end.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use http::Method;
use station_proto::app::AppPhase;
use station_tests::process;
use station_tests::station::{App, Station};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(30);
const DESCRIPTORS: usize = 256;

#[tokio::test]
async fn hundreds_of_connections_leave_descriptors_for_everything_else() {
    let mut station = Station::prepare(App::StandIn, "").unwrap();
    station.descriptors = Some(DESCRIPTORS);
    station.launch().await.unwrap();
    station.app_in(AppPhase::Ready).await.unwrap();
    let client = station.login().await.unwrap();
    let url = station.heartbeat().await.unwrap().status.public_url;
    let address = url.split_once("://").unwrap().1.to_owned();
    // The dearest kind first: two descriptors each.
    let mut tunnels = Vec::new();
    for _ in 0..20 {
        tunnels.push(client.open_websocket("/apps/jupyterlab/echo").await.unwrap());
    }
    // As many as are accepted, as many as find room in the queue, and more that find none.
    let opened = |_| async {
        let mut stream = TcpStream::connect(&address).await.ok()?;
        let ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(ask).await.ok().map(|()| stream)
    };
    let opened = |n| tokio::time::timeout(Duration::from_secs(2), opened(n));
    let open: Vec<TcpStream> = stream::iter(0..400)
        .map(opened)
        .buffer_unordered(400)
        .filter_map(|opened| async { opened.ok().flatten() })
        .collect()
        .await;
    assert!(open.len() > 100, "{}", open.len());
    let mut admin = Vec::new();
    for _ in 0..50 {
        admin.push(tokio::net::UnixStream::connect(station.socket()).await.unwrap());
    }
    for _ in 0..5 {
        let second = Duration::from_secs(1);
        tokio::time::timeout(second, station.heartbeat()).await.unwrap().unwrap();
    }
    let used = process::open_files(station.pid().unwrap()).unwrap();
    assert!(used < DESCRIPTORS - 16, "{used} are open");
    // The database, the keeper and a new process need some too.
    let restart = station.admin(Method::POST, "/v1/apps/jupyterlab/restart", "").await.unwrap();
    assert!(restart.status().is_success(), "{restart:?}");
    let again = |heartbeat: &station_proto::heartbeat::Heartbeat| {
        let app = &heartbeat.status.apps[0];
        app.generation > 1 && app.phase == AppPhase::Ready
    };
    station.wait_for("the app runs again", LIMIT, again).await.unwrap();
    station.login_path("/").await.unwrap();
    assert!(!station.log().contains("Too many open files"), "{}", station.log());
    drop((open, tunnels, admin));
    let health = async { client.get("/healthz").await };
    tokio::time::timeout(LIMIT, health).await.unwrap().unwrap().expect(200).unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test measures with a clock of its own")]
async fn open_websockets_do_not_hold_up_the_end() {
    let mut station = Station::with_app(App::StandIn).await.unwrap();
    let client = station.login().await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(client.open_websocket("/apps/jupyterlab/echo").await.unwrap());
    }
    let began = Instant::now();
    assert!(station.terminate().await.unwrap().success());
    let took = began.elapsed();
    // None of them answers the Close. A busy machine is slow; the drain takes 2 s.
    assert!(took < Duration::from_millis(1500), "it took {took:?}");
    for mut socket in silent {
        let close = tokio::time::timeout(LIMIT, socket.next()).await.unwrap();
        let message = close.unwrap().unwrap();
        assert!(message.is_close(), "{message:?}");
    }
}
