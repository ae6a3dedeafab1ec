//! A station over the lives of its machine: a reboot, and `stationctl down` with a start after it.

use station_proto::app::AppPhase;
use station_tests::http::Client;
use station_tests::process;

use crate::setup::{APP, MAIN, SOON, processes, until, with_jupyterlab};

#[tokio::test]
async fn a_reboot_brings_everything_back() {
    let mut machine = with_jupyterlab().await.unwrap();
    let before = machine.admin.heartbeat().await.unwrap();
    machine.reboot().await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    let after = machine.admin.heartbeat().await.unwrap();
    assert_eq!(after.lease.instance_id, before.lease.instance_id);
    assert_eq!(machine.property(MAIN, "NRestarts").await.unwrap(), "0");
    machine.admin.login().await.unwrap().page("/apps/jupyterlab/lab").await.unwrap();
}

#[tokio::test]
async fn a_down_leaves_nothing_and_a_start_brings_it_back() {
    let machine = with_jupyterlab().await.unwrap();
    let url = machine.admin.heartbeat().await.unwrap().status.public_url;
    machine.must("stationctl down").await.unwrap();
    until(&machine, MAIN, "ActiveState", |state| state == "inactive").await.unwrap();
    assert_eq!(machine.property(APP, "ActiveState").await.unwrap(), "inactive");
    let gone = process::eventually_async("no process", SOON, async || {
        processes(&machine).await.ok().filter(String::is_empty)
    });
    gone.await.unwrap();

    // Whoever connects finds nobody, and wakes nobody.
    Client::new(&url).unwrap().get("/healthz").await.unwrap_err();
    machine.run("stationctl status").await.unwrap();
    assert_eq!(processes(&machine).await.unwrap(), "");
    assert_eq!(machine.property(MAIN, "ActiveState").await.unwrap(), "inactive");

    machine.must("systemctl start stationd.service").await.unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
    Client::new(&url).unwrap().get("/healthz").await.unwrap().expect(200).unwrap();
}
