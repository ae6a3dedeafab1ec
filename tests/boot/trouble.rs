//! A station that cannot do all it should still answers, and says what is wrong.

use station_proto::app::AppPhase;
use station_proto::condition::Condition;
use station_proto::heartbeat::{Heartbeat, Phase};

use crate::setup::{SOON, VERSION, configure, fresh, heartbeat, install, write};

#[tokio::test]
async fn a_port_that_is_taken_is_named_on_the_admin_socket() {
    let machine = fresh().await.unwrap();
    let other = "systemd-run --unit=other --property=Type=exec \
                 python3 -m http.server 8710 --bind 127.0.0.1";
    machine.must(other).await.unwrap();
    let listens = "until ss -ltn | grep -q 127.0.0.1:8710; do sleep 0.1; done";
    machine.must(listens).await.unwrap();
    configure(&machine, "").unwrap();
    install(&machine, VERSION).await.unwrap();
    let told = machine.admin.wait_for("ListenMismatch", SOON, |now| mismatch(now).is_some()).await;
    let told = told.unwrap();

    // What it says is done: the last command of its text.
    machine.must("systemctl stop other.service").await.unwrap();
    let remedy = mismatch(&told).unwrap().action.rsplit('`').nth(1).unwrap();
    machine.must(remedy).await.unwrap();
    machine.admin.wait_for("no mismatch", SOON, |now| mismatch(now).is_none()).await.unwrap();
    machine.admin.client().await.unwrap().get("/healthz").await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn a_broken_configuration_is_told_and_mending_it_is_enough() {
    let machine = fresh().await.unwrap();
    write(&machine, "/etc/stationd/stationd.toml", "[instance\n").unwrap();
    install(&machine, VERSION).await.unwrap();
    let told = heartbeat(&machine).await.unwrap();
    assert_eq!(told.status.phase, Phase::ConfigError);
    configure(&machine, "").unwrap();
    machine.admin.app_in(AppPhase::Ready).await.unwrap();
}

fn mismatch(heartbeat: &Heartbeat) -> Option<&Condition> {
    heartbeat.status.conditions.iter().find(|condition| condition.kind == "ListenMismatch")
}
