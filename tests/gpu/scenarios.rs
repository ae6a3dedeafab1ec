//! Named scenarios on a whole station: what its status says, and how soon.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use serde_json::json;
use station_proto::app::AppPhase;
use station_proto::condition::Condition;
use station_proto::gpu::{DriverState, GpuHealth, Gpus as Shown};
use station_proto::heartbeat::Heartbeat;
use station_proto::node::Node;
use station_tests::gpus::Gpus;
use station_tests::host::Files;
use station_tests::kernel::{Kernel, api};
use station_tests::process::eventually_async;
use station_tests::station::{App, Station};

/// Two rounds and a look at the files, on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

async fn station(gpus: &Gpus) -> Result<Station> {
    let mut station = Station::prepare(App::None, "")?;
    station.environment = gpus.environment();
    station.launch().await?;
    Ok(station)
}

async fn shown(station: &Station) -> Result<Shown> {
    let answer = station.admin(Method::GET, "/v1/gpus", "").await?;
    Ok(serde_json::from_slice(answer.body())?)
}

fn health(heartbeat: &Heartbeat) -> Vec<GpuHealth> {
    heartbeat.status.gpus.iter().map(|gpu| gpu.health).collect()
}

fn conditions<'a>(heartbeat: &'a Heartbeat, kind: &str) -> Vec<&'a Condition> {
    heartbeat.status.conditions.iter().filter(|one| one.kind == kind).collect()
}

/// Waits until the GPUs are as healthy as that.
pub(crate) async fn wait_health(station: &Station, expected: &[GpuHealth]) -> Result<Heartbeat> {
    station.wait_for("the health", SOON, |now| health(now) == expected).await
}

#[tokio::test]
async fn gpus_are_in_status_samples_and_the_api() -> Result<()> {
    let gpus = Gpus::new(2)?;
    let own = std::process::id();
    let busy = json!({ "set": { "nvmlDeviceGetUtilizationRates": [97, 31] },
                       "processes": [[own, 2_147_483_648_u64]] });
    gpus.script(&json!({ "devices": [{}, busy] }))?;
    let station = station(&gpus).await?;
    let heartbeat = wait_health(&station, &[GpuHealth::Healthy; 2]).await?;
    let [_, second] = &heartbeat.status.gpus[..] else { anyhow::bail!("two GPUs") };
    assert_eq!(second.uuid, Some(Gpus::uuid(1)));
    assert_eq!(second.pci, Gpus::pci(1));
    assert_eq!(second.name.as_deref(), Some("NVIDIA H100 80GB HBM3"));
    assert_eq!(heartbeat.samples.context("samples")?.gpus[1].used_percent, Some(97));
    let all = shown(&station).await?;
    assert_eq!(all.driver.state, DriverState::Ready);
    assert_eq!(all.driver.cuda_version.as_deref(), Some("13.0"));
    assert_eq!((all.driver.on_pci, all.driver.listed), (2, Some(2)));
    let holder = all.gpus[1].processes.as_ref().context("processes")?;
    assert_eq!((holder[0].pid, holder[0].memory_mib), (i32::try_from(own)?, Some(2048)));
    assert_eq!(holder[0].uid, Some(nix::unistd::getuid().as_raw()));
    let calls = station.admin(Method::GET, "/v1/gpus/calls", "").await?;
    assert!(String::from_utf8_lossy(calls.body()).contains("nvmlDeviceGetPowerUsage"));
    Ok(())
}

#[tokio::test]
async fn a_machine_without_gpus_starts_nobody_and_says_nothing() -> Result<()> {
    let gpus = Gpus::new(0)?;
    gpus.load(None)?;
    let station = station(&gpus).await?;
    let absent = |all: Shown| all.driver.state == DriverState::Absent;
    while !absent(shown(&station).await?) {}
    let heartbeat = station.heartbeat().await?;
    assert!(
        heartbeat.status.gpus.is_empty()
            && heartbeat.samples.is_some_and(|now| now.gpus.is_empty())
    );
    assert!(!heartbeat.status.conditions.iter().any(|one| one.kind.starts_with("Gpu")));
    assert_eq!(gpus.processes("probe gpu"), [0; 0]);
    Ok(())
}

#[tokio::test]
async fn a_gpu_whose_calls_hang_hides_no_other() -> Result<()> {
    let gpus = Gpus::new(3)?;
    let station = station(&gpus).await?;
    wait_health(&station, &[GpuHealth::Healthy; 3]).await?;
    let hang = json!({ "fn": "nvmlDeviceGetPowerUsage", "dev": 1, "hang": true });
    gpus.script(&json!({ "devices": [{}, {}, {}], "faults": [hang] }))?;
    let named = |now: &Heartbeat| !conditions(now, "GpuDriverUnresponsive").is_empty();
    let heartbeat = station.wait_for("the call that hangs", SOON, named).await?;
    let condition = conditions(&heartbeat, "GpuDriverUnresponsive")[0];
    assert_eq!(condition.subject, Gpus::uuid(1));
    assert!(condition.message.contains("nvmlDeviceGetPowerUsage"), "{condition:?}");
    // The child is replaced by one that leaves that GPU alone.
    let others = [GpuHealth::Healthy, GpuHealth::Unknown, GpuHealth::Healthy];
    wait_health(&station, &others).await?;
    let all = shown(&station).await?;
    assert_eq!(all.gpus[1].heat.power_mw, None, "no old value");
    assert_eq!(all.gpus[2].heat.power_mw, Some(70_000));
    Ok(())
}

#[tokio::test]
async fn a_gpu_that_falls_off_the_bus_is_lost_and_the_other_goes_on() -> Result<()> {
    let gpus = Gpus::new(2)?;
    let station = station(&gpus).await?;
    wait_health(&station, &[GpuHealth::Healthy; 2]).await?;
    let lost = json!({ "fn": "*", "dev": 0, "ret": 15 });
    gpus.script(&json!({ "devices": [{}, {}], "faults": [lost] }))?;
    wait_health(&station, &[GpuHealth::Failed, GpuHealth::Healthy]).await?;
    gpus.script(&json!({ "devices": [{}, {}] }))?;
    wait_health(&station, &[GpuHealth::Healthy; 2]).await?;
    gpus.fall(0)?;
    let heartbeat = wait_health(&station, &[GpuHealth::Failed, GpuHealth::Healthy]).await?;
    assert_eq!(conditions(&heartbeat, "GpuLost")[0].subject, Gpus::uuid(0));
    gpus.unplug(0)?;
    let gone = |now: &Heartbeat| {
        conditions(now, "GpuLost").iter().any(|one| one.message.contains("not on the PCI bus"))
    };
    station.wait_for("the GPU that is gone", SOON, gone).await?;
    Ok(())
}

#[tokio::test]
async fn a_driver_that_comes_late_changes_and_goes_is_noticed_without_a_restart() -> Result<()> {
    let gpus = Gpus::new(1)?;
    gpus.load(None)?;
    let station = station(&gpus).await?;
    let missing = |now: &Heartbeat| !conditions(now, "GpuDriverNotLoaded").is_empty();
    station.wait_for("the missing driver", SOON, missing).await?;
    gpus.load(Some("580.159.04"))?;
    let heartbeat = wait_health(&station, &[GpuHealth::Healthy]).await?;
    assert!(!missing(&heartbeat));
    assert_eq!(gpus.processes("probe gpu").len(), 1);
    // An upgrade of the packages with the old module still loaded, then with the new one.
    let differ = json!({ "fn": "nvmlInit_v2", "ret": 18 });
    gpus.script(&json!({ "devices": [{}], "faults": [differ] }))?;
    gpus.load(Some("590.10"))?;
    let mismatch = |now: &Heartbeat| !conditions(now, "GpuDriverMismatch").is_empty();
    station.wait_for("the mismatch", SOON, mismatch).await?;
    gpus.script(&json!({ "driver": "590.10", "devices": [{}] }))?;
    wait_health(&station, &[GpuHealth::Healthy]).await?;
    gpus.load(None)?;
    station.wait_for("the missing driver", SOON, missing).await?;
    assert_eq!(gpus.processes("probe gpu"), [0; 0]);
    Ok(())
}

#[tokio::test]
async fn an_xid_comes_from_the_kernel_and_from_the_driver() -> Result<()> {
    let gpus = Gpus::new(2)?;
    let mut log = gpus.kernel_log()?;
    let station = station(&gpus).await?;
    wait_health(&station, &[GpuHealth::Healthy; 2]).await?;
    // A GPU of number 0 by the kernel, of number 1 by the driver.
    let xid = "4,360,55559005,c;NVRM: Xid (PCI:0000:01:00): 79, pid=619, name=x, GPU has fallen off the bus.\n";
    log.write_all(xid.as_bytes())?;
    let event = json!({ "dev": 1, "type": 8, "data": 48 });
    gpus.script(&json!({ "devices": [{}, {}], "events": [event] }))?;
    let both = |now: &Heartbeat| conditions(now, "GpuXid").len() == 2;
    let heartbeat = station.wait_for("both Xids", SOON, both).await?;
    let found = conditions(&heartbeat, "GpuXid");
    let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert!(messages[0].contains("Xid 79") && messages[0].contains("x (619)"), "{messages:?}");
    assert!(messages[1].contains("Xid 48"), "{messages:?}");
    Ok(())
}

#[tokio::test]
async fn memory_of_a_gpu_is_traced_to_the_notebook_that_holds_it() -> Result<()> {
    let gpus = Gpus::new(1)?;
    if station_tests::jupyter::lab().is_none() {
        return station_tests::skip(station_tests::jupyter::MISSING);
    }
    let mut station = Station::prepare(App::JupyterLab, "")?;
    station.environment = gpus.environment();
    station.launch().await?;
    station.app_in(AppPhase::Ready).await?;
    let client = station.login().await?;
    let base = "/apps/jupyterlab";
    let mut kernel = Kernel::start(&client, base).await?;
    let session = json!({ "path": "train.ipynb", "name": "train.ipynb", "type": "notebook",
                          "kernel": { "id": kernel.id } });
    let sessions = format!("{base}/api/sessions");
    api(&client, Method::POST, &sessions, &session).await?.expect(201)?;
    let pid = kernel.run("import os; os.getpid()").await?.value.context("a pid")?;
    let busy = json!({ "processes": [[pid.parse::<u32>()?, 22_870_000_000_u64]] });
    gpus.script(&json!({ "devices": [busy] }))?;
    let holder = loop {
        let all = shown(&station).await?;
        let processes = all.gpus.first().and_then(|gpu| gpu.processes.clone());
        if let Some(holder) =
            processes.and_then(|all| all.into_iter().find(|one| one.notebook.is_some()))
        {
            break holder;
        }
    };
    assert_eq!(holder.notebook.as_deref(), Some("train.ipynb"));
    assert_eq!(holder.app.as_deref(), Some("jupyterlab"));
    Ok(())
}

#[tokio::test]
async fn a_toolkit_that_the_driver_does_not_serve_is_named() -> Result<()> {
    let gpus = Gpus::new(1)?;
    let machine = Files::well(gpus.folder())?;
    let toolkit = |version: &str| format!(r#"{{"cuda": {{"version": "{version}"}}}}"#);
    machine.write("usr/local/cuda-13.1/version.json", &toolkit("13.1.0"))?;
    let station = station(&gpus).await?;
    wait_health(&station, &[GpuHealth::Healthy]).await?;
    let node = || async {
        let answer = station.admin(Method::GET, "/v1/node", "").await.ok()?;
        let node: Node = serde_json::from_slice(answer.body()).ok()?;
        node.cuda.filter(|cuda| cuda.driver_cuda_version.is_some())
    };
    let cuda = eventually_async("CUDA", SOON, node).await?;
    assert_eq!(cuda.driver_cuda_version.as_deref(), Some("13.0"));
    let kind = "CudaToolkitIncompatible";
    let now = station.heartbeat().await?;
    assert!(conditions(&now, kind).is_empty(), "a newer minor version will do");
    machine.write("usr/local/cuda-14.0/version.json", &toolkit("14.0.0"))?;
    let told = |now: &Heartbeat| !conditions(now, kind).is_empty();
    let now = station.wait_for(kind, SOON, told).await?;
    let message = &conditions(&now, kind)[0].message;
    assert!(message.contains("CUDA 14.0.0 in /usr/local/cuda-14.0"), "{message}");
    assert!(message.contains("up to 13.0") && !message.contains("13.1"), "{message}");
    machine.remove("usr/local/cuda-14.0/version.json")?;
    station.wait_for("well again", SOON, |now| conditions(now, kind).is_empty()).await?;
    Ok(())
}
