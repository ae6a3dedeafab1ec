//! The machine under the package's units: what stationd may not see itself, the probe tells it.

use std::time::Duration;

use serde_json::json;
use station_proto::condition::{Condition, Truth};
use station_proto::heartbeat::Heartbeat;
use station_proto::node::Node;
use station_tests::machine::Machine;
use station_tests::process;

use crate::setup::{VERSION, fresh, install, write};

/// A few looks, on a loaded machine.
const SOON: Duration = Duration::from_secs(90);

fn condition(now: &Heartbeat, kind: &str) -> Option<Condition> {
    now.status.conditions.iter().find(|one| one.kind == kind).cloned()
}

async fn node(machine: &Machine, what: &str, is: impl Fn(&Node) -> bool) -> Node {
    process::eventually_async(what, SOON, || async {
        let answer = machine.admin.admin(http::Method::GET, "/v1/node", "").await.ok()?;
        serde_json::from_slice::<Node>(answer.body()).ok().filter(|node| is(node))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_machine_is_seen_with_the_rights_that_the_units_have() {
    let machine = fresh().await.unwrap();
    let text = "app = []\n[instance]\nlocal_user = \"ada\"\n";
    write(&machine, "/etc/stationd/stationd.toml", text).unwrap();
    let cloud = json!({ "v1": { "cloud_name": "nocloud", "region": "attic" } });
    write(&machine, "/run/cloud-init/instance-data.json", &cloud.to_string()).unwrap();
    let cuda = r#"{"cuda": {"version": "12.4.1"}}"#;
    write(&machine, "/usr/local/cuda-12.4/version.json", cuda).unwrap();
    install(&machine, VERSION).await.unwrap();

    let told = node(&machine, "the node", |node| node.cuda.is_some()).await;
    let name = machine.must(". /etc/os-release; printf %s \"$PRETTY_NAME\"").await.unwrap();
    assert_eq!(told.os.as_ref().map(|os| os.name.as_str()), Some(name.trim()));
    assert_eq!(told.kernel.as_deref(), Some(machine.must("uname -r").await.unwrap().trim()));
    assert_eq!(told.cloud.and_then(|cloud| cloud.region).as_deref(), Some("attic"));
    assert_eq!(told.cuda.unwrap().toolkits[0].version, "12.4.1");

    let figures = |now: &Heartbeat| {
        let samples = now.samples.as_ref();
        samples.is_some_and(|now| now.os_disk.is_some() && !now.disks.is_empty())
    };
    let now = process::eventually_async("disks", SOON, || async {
        machine.admin.heartbeat().await.ok().filter(figures)
    });
    let now = now.await.unwrap();
    let samples = now.samples.unwrap();
    assert_eq!(samples.os_disk.unwrap().path, "/var/lib/stationd");
    assert_eq!(samples.disks[0].path, "/");
    // Nothing is refused: the clock may be asked, and no look is silent.
    let unknown = |one: &&Condition| one.status == Truth::Unknown || one.kind == "ProbeSilent";
    let unknown: Vec<_> = now.status.conditions.iter().filter(unknown).collect();
    assert!(unknown.is_empty(), "{unknown:?}");

    machine.run("systemd-run --wait --unit=broken /bin/false").await.unwrap();
    let failed = |now: &Heartbeat| {
        condition(now, "UnitsFailed").is_some_and(|one| one.message.contains("broken.service"))
    };
    machine.admin.wait_for("the failed unit", SOON, failed).await.unwrap();
    write(&machine, "/run/reboot-required", "").unwrap();
    let restart = |now: &Heartbeat| condition(now, "RebootRequired").is_some();
    machine.admin.wait_for("the restart", SOON, restart).await.unwrap();

    machine.must("systemctl reset-failed broken.service; rm /run/reboot-required").await.unwrap();
    let gone = |now: &Heartbeat| !failed(now) && !restart(now);
    machine.admin.wait_for("both gone", SOON, gone).await.unwrap();
}
