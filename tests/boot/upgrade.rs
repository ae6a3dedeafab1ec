//! A newer and then an older package over a running station: nobody who connects is refused.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use futures_util::future::join3;
use station_proto::app::AppPhase;
use station_tests::http::Client;
use station_tests::machine::Machine;
use tokio::net::TcpStream;

use crate::setup::{APP, MAIN, NEXT, VERSION, heartbeat, install, with_jupyterlab};

const ADDRESS: &str = "127.0.0.1:8710";

#[tokio::test]
async fn an_upgrade_and_a_downgrade_refuse_nobody_and_end_no_app() {
    let machine = with_jupyterlab().await.unwrap();
    let instance = machine.admin.heartbeat().await.unwrap().lease.instance_id;
    let app = machine.main_pid(APP).await.unwrap();
    let sockets = since(&machine).await;
    for version in [NEXT, VERSION] {
        let main = machine.main_pid(MAIN).await.unwrap();
        let done = Cell::new(false);
        let change = async {
            install(&machine, version).await.unwrap();
            heartbeat(&machine).await.unwrap();
            done.set(true);
        };
        let ((), (refused, connections), lost) = join3(change, storm(&done), requests(&done)).await;
        assert_eq!((refused, lost), (0, 0), "of {connections} connections");
        assert!(connections > 20, "{connections}");
        let installed = machine.must("dpkg-query -W -f '${Version}' stationd").await.unwrap();
        assert_eq!(installed, version);
        assert_ne!(machine.main_pid(MAIN).await.unwrap(), main, "it was not restarted");
        machine.admin.app_in(AppPhase::Ready).await.unwrap();
        assert_eq!(machine.main_pid(APP).await.unwrap(), app);
    }
    assert_eq!(since(&machine).await, sockets, "a socket was touched");
    assert_eq!(machine.admin.heartbeat().await.unwrap().lease.instance_id, instance);
}

/// Since when each socket has been open.
async fn since(machine: &Machine) -> String {
    let line = "systemctl show -P ActiveEnterTimestampMonotonic stationd.socket \
                stationd-admin.socket stationd-privileged.socket stationd-probe.socket";
    machine.must(line).await.unwrap()
}

/// Connects again and again: how many were refused, of how many.
async fn storm(done: &Cell<bool>) -> (u32, u32) {
    let (mut refused, mut connections) = (0, 0);
    while !done.get() {
        connections += 1;
        match TcpStream::connect(ADDRESS).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused += 1,
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (refused, connections)
}

/// Asks again and again: how many requests had no answer. One in the middle of a restart waits.
async fn requests(done: &Cell<bool>) -> u32 {
    let client = Client::new(&format!("http://{ADDRESS}")).unwrap();
    let mut lost = 0;
    while !done.get() {
        let answer = client.get("/healthz").await;
        lost += u32::from(!answer.is_ok_and(|answer| answer.status.is_success()));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    lost
}
