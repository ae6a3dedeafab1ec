//! GPUs that are not there, under the package's units: the driver is asked by the probe, which has no
//! other right, and stationd hears of it over a socket.

use std::time::Duration;

use serde_json::json;
use station_proto::gpu::GpuHealth;
use station_proto::heartbeat::Heartbeat;
use station_tests::gpus::Gpus;

use crate::setup::{VERSION, configure, fresh, install, processes, write};

const FOLDER: &str = "/opt/gpu";
/// Two rounds and a look at the files, on a loaded machine.
const SOON: Duration = Duration::from_secs(90);

fn health(heartbeat: &Heartbeat) -> Vec<GpuHealth> {
    heartbeat.status.gpus.iter().map(|gpu| gpu.health).collect()
}

#[tokio::test]
async fn the_probe_asks_the_driver_and_stationd_only_hears_of_it() {
    let machine = fresh().await.unwrap();
    let gpus = Gpus::on_machine(machine.path(FOLDER), FOLDER, 2).unwrap();
    let lines: Vec<String> = gpus
        .environment()
        .iter()
        .map(|(name, value)| format!("Environment={name}={value}\n"))
        .collect();
    for unit in ["stationd", "stationd-probe"] {
        let path = format!("/etc/systemd/system/{unit}.service.d/gpu.conf");
        write(&machine, &path, &format!("[Service]\n{}", lines.concat())).unwrap();
    }
    configure(&machine, "").unwrap();
    install(&machine, VERSION).await.unwrap();
    let healthy = |now: &Heartbeat| health(now) == [GpuHealth::Healthy; 2];
    machine.admin.wait_for("two healthy GPUs", SOON, healthy).await.unwrap();
    let all = processes(&machine).await.unwrap();
    let asks = all.lines().find(|line| line.contains("probe gpu")).unwrap();
    assert!(asks.contains("stationd-probe"), "{asks}");

    let hang = json!({ "fn": "nvmlDeviceGetPowerUsage", "dev": 1, "hang": true });
    gpus.script(&json!({ "devices": [{}, {}], "faults": [hang] })).unwrap();
    let one = |now: &Heartbeat| health(now) == [GpuHealth::Healthy, GpuHealth::Unknown];
    machine.admin.wait_for("one of them left alone", SOON, one).await.unwrap();

    // stationd ends, and whoever asked for it with it.
    machine.must("systemctl stop stationd.service").await.unwrap();
    let gone = "until ! pgrep -u stationd-probe -f 'probe gp[u]' >/dev/null; do sleep 0.1; done";
    machine.must(gone).await.unwrap();
}
