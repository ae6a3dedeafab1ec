//! What eight GPUs cost, and what is left of the heartbeat when every call of their driver hangs.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use serde_json::json;
use station_proto::gpu::{GpuHealth, Gpus as Shown};
use station_proto::heartbeat::Heartbeat;
use tokio::time::Instant;

use super::super::process::{cpu_seconds_with_ended, pss_kib, sleep};
use super::super::report::{OURS, Row, Samples};
use super::super::{Plan, say};
use crate::gpus::Gpus;
use crate::station::{App, Station};

const GPUS: usize = 8;
const SETTLE: Duration = Duration::from_secs(60);
const WATCH: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(60);
/// Heartbeats of one round, of which the 99th of 100 counts.
const ASKED: usize = 400;
const XIDS: u32 = 40;
const HEARTBEAT: &str = "/v1/heartbeat";
const METRICS: &str = "/metrics";
/// A key that waits for a restart: one condition.
const CHANGED: &str = "[log]\nformat = \"json\"\n";

pub(in crate::bench) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(plan))
}

async fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let mut samples = Samples::default();
    let gpus = Gpus::new(GPUS)?;
    gpus.usual_pace()?;
    let mut log = gpus.kernel_log()?;
    let mut station = Station::prepare(App::None, "")?;
    station.environment = gpus.environment();
    station.launch().await?;
    station.wait_for("eight GPUs", SOON, healthy).await?;
    costs(&station, &gpus, &mut samples).await?;
    super::scrape::measure(plan, &station, &mut samples).await?;
    for round in 1..=plan.rounds {
        say(&format!("heartbeats, round {round} of {}", plan.rounds));
        gpus.script(&json!({ "devices": vec![json!({}); GPUS] }))?;
        station.wait_for("a driver that answers", SOON, |now| !hangs(now)).await?;
        samples.add("heartbeat_hung_p99_us", "us", "healthy", p99(&station, HEARTBEAT).await?);
        samples.add("metrics_hung_p99_us", "us", "healthy", p99(&station, METRICS).await?);
        let hang = json!({ "fn": "*", "hang": true });
        gpus.script(&json!({ "devices": vec![json!({}); GPUS], "faults": [hang] }))?;
        station.wait_for("the driver that hangs", SOON, hangs).await?;
        samples.add("heartbeat_hung_p99_us", "us", OURS, p99(&station, HEARTBEAT).await?);
        samples.add("metrics_hung_p99_us", "us", OURS, p99(&station, METRICS).await?);
    }
    gpus.script(&json!({ "devices": vec![json!({}); GPUS] }))?;
    say("Xids");
    let mut took = Vec::new();
    for number in 0..XIDS {
        took.push(xid(&station, &mut log, 1000 + number % 20).await?);
    }
    took.sort_unstable();
    let worst = took.last().context("some Xids")?;
    samples.add("xid_to_condition_p99_ms", "ms", OURS, worst.as_secs_f64() * 1e3);
    let hang = json!({ "fn": "*", "hang": true });
    gpus.script(&json!({ "devices": vec![json!({}); GPUS], "faults": [hang] }))?;
    station.wait_for("the driver that hangs", SOON, hangs).await?;
    let begun = Instant::now();
    station.terminate().await?;
    samples.add("stop_hung_ms", "ms", OURS, begun.elapsed().as_secs_f64() * 1e3);
    Ok(samples.rows())
}

fn healthy(heartbeat: &Heartbeat) -> bool {
    let all = heartbeat.status.gpus.iter();
    all.filter(|gpu| gpu.health == GpuHealth::Healthy).count() == GPUS
}

fn hangs(heartbeat: &Heartbeat) -> bool {
    heartbeat.status.conditions.iter().any(|one| one.kind == "GpuDriverUnresponsive")
}

/// Memory and CPU of stationd with the process that asks the driver, and bytes of what is polled.
async fn costs(station: &Station, gpus: &Gpus, samples: &mut Samples) -> Result<()> {
    let roles = || gpus.processes("stationd");
    say("60 s to settle, 60 s to watch");
    sleep(SETTLE);
    samples.add("rss_8gpu_mib", "MiB", OURS, pss_kib(&roles()) / 1024.0);
    let before = cpu_seconds_with_ended(&roles());
    sleep(WATCH);
    let share = (cpu_seconds_with_ended(&roles()) - before) / WATCH.as_secs_f64() * 100.0;
    samples.add("idle_cpu_pct", "%", OURS, share);
    super::poll::measure(station, CHANGED, &roles(), samples).await?;
    station.configure("")?;
    Ok(())
}

/// The time of 99 in 100 heartbeats on the admin socket, each on a connection of its own.
async fn p99(station: &Station, path: &str) -> Result<f64> {
    let mut took = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        let asked = Instant::now();
        station.admin(Method::GET, path, "").await?;
        took.push(asked.elapsed());
    }
    took.sort_unstable();
    let at = took.get(ASKED * 99 / 100).context("enough heartbeats")?;
    Ok(at.as_secs_f64() * 1e6)
}

/// From the kernel's line to an answer that shows it.
async fn xid(station: &Station, log: &mut std::fs::File, code: u32) -> Result<Duration> {
    let count = |all: &Shown| {
        let xids = all.gpus.first().map(|gpu| gpu.xids.as_slice()).unwrap_or_default();
        xids.iter().find(|one| one.code == code).map_or(0, |one| one.count)
    };
    let before = count(&shown(station).await?);
    let written = Instant::now();
    let line = format!("4,1,1,-;NVRM: Xid (PCI:0000:01:00): {code}, pid=1, name=x, Ch 1\n");
    log.write_all(line.as_bytes())?;
    while count(&shown(station).await?) == before {}
    Ok(written.elapsed())
}

async fn shown(station: &Station) -> Result<Shown> {
    let answer = station.admin(Method::GET, "/v1/gpus", "").await?;
    Ok(serde_json::from_slice(answer.body())?)
}
