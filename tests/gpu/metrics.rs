//! `/metrics` as Prometheus reads it, from a station with GPUs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::json;
use station_proto::gpu::GpuHealth;
use station_proto::history::History;
use station_tests::gpus::Gpus;
use station_tests::process;
use station_tests::station::{App, Station};
use tokio::io::AsyncWriteExt as _;

use crate::scenarios::{SOON, wait_health};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../agent/docs");

async fn text(station: &Station) -> Result<String> {
    let answer = station.admin(Method::GET, "/metrics", "").await?;
    ensure!(answer.headers()["content-type"].to_str()?.starts_with("text/plain; version=0.0.4"));
    Ok(String::from_utf8(answer.into_body().into())?)
}

/// A station that counts with two GPUs, one of them busy.
async fn station(gpus: &Gpus) -> Result<Station> {
    let busy = json!({ "set": { "nvmlDeviceGetUtilizationRates": [97, 31],
                                "nvmlDeviceGetPowerUsage": [412_500] } });
    gpus.script(&json!({ "devices": [{}, busy] }))?;
    let mut station = Station::prepare(App::StandIn, "")?;
    station.environment = gpus.environment();
    station.launch().await?;
    station.app_in(station_proto::app::AppPhase::Ready).await?;
    wait_health(&station, &[GpuHealth::Healthy; 2]).await?;
    Ok(station)
}

/// Every series with its value, as it is written.
fn series(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).collect()
}

#[tokio::test]
async fn the_text_has_every_part_and_prometheus_finds_nothing_to_blame() -> Result<()> {
    let gpus = Gpus::new(2)?;
    let station = station(&gpus).await?;
    let text = text(&station).await?;
    let all = series(&text);
    let labels = |number: usize| format!("{{gpu=\"{number}\",uuid=\"{}\"}}", Gpus::uuid(number));
    let value = |name: &str| all.get(name).copied().with_context(|| format!("{name}\n{text}"));
    assert_eq!(value(&format!("stationd_gpu_power_watts{}", labels(1)))?, "412.5");
    assert_eq!(value(&format!("stationd_gpu_used_ratio{}", labels(1)))?, "0.97");
    assert_eq!(value(&format!("stationd_gpu_used_ratio{}", labels(0)))?, "0.0");
    assert_eq!(value("stationd_gpu_driver{state=\"ready\"}")?, "1.0");
    assert_eq!(value("stationd_app_ready{app=\"jupyterlab\"}")?, "1.0");
    assert_eq!(value("stationd_ready")?, "1.0");
    assert!(value("process_resident_memory_bytes")?.parse::<f64>()? > 1e6);
    assert!(value("stationd_memory_available_bytes")?.parse::<f64>()? > 0.0);
    let of_one = all.keys().filter(|name| name.contains("gpu=\"1\"")).count();
    assert!((50..=120).contains(&of_one), "{of_one} series of one GPU");
    promtool(&["check", "metrics"], &text).await?;
    let accept =
        [(http::header::ACCEPT, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")];
    let open = station.admin_with(Method::GET, "/metrics", "", &accept).await?;
    assert_eq!(open.headers()["vary"], "accept");
    let open = String::from_utf8(open.into_body().into())?;
    assert!(open.ends_with("# EOF\n"), "{open}");
    assert_eq!(series(&open).len(), all.len(), "the same series");
    Ok(())
}

/// Who reads the page must find what is scraped.
#[tokio::test]
async fn every_name_is_documented() -> Result<()> {
    let gpus = Gpus::new(2)?;
    let station = station(&gpus).await?;
    let text = text(&station).await?;
    let page = std::fs::read_to_string(Path::new(DOCS).join("metrics.md"))?;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<&str> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [""; 0], "not in agent/docs/metrics.md");
    Ok(())
}

#[tokio::test]
async fn the_alert_rules_are_sound_and_fire_when_they_should() -> Result<()> {
    let rules = Path::new(DOCS).join("alerts.yml");
    promtool(&["check", "rules", &rules.display().to_string()], "").await?;
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("gpu/alerts.yml");
    promtool(&["test", "rules", &cases.display().to_string()], "").await
}

#[tokio::test]
async fn the_last_steps_are_remembered() -> Result<()> {
    let gpus = Gpus::new(2)?;
    let station = station(&gpus).await?;
    let history = async || -> Result<Option<History>> {
        let answer = station.admin(Method::GET, "/v1/history?minutes=5", "").await?;
        let history: History = serde_json::from_slice(answer.body())?;
        let known = |name: &str, gpu: Option<String>| {
            let of = history.series.iter().find(|one| one.name == name && one.gpu == gpu);
            of.is_some_and(|one| one.values.iter().any(Option::is_some))
        };
        let all = known("cpu_used_percent", None)
            && known("gpu_used_percent", Some(Gpus::pci(1)))
            && known("memory_used_percent", None);
        Ok(all.then_some(history))
    };
    let found = process::eventually_async("a step", SOON, async || history().await.ok()?).await?;
    let busy = found
        .series
        .iter()
        .find(|one| one.name == "gpu_used_percent" && one.gpu == Some(Gpus::pci(1)));
    assert_eq!(busy.and_then(|one| *one.values.last()?), Some(97.0));
    assert!(found.series.iter().all(|one| one.values.len() == found.series[0].values.len()));
    Ok(())
}

/// Runs Debian's promtool; what it blames is the error.
async fn promtool(arguments: &[&str], input: &str) -> Result<()> {
    let program = PathBuf::from("/usr/bin/promtool");
    if !program.exists() {
        return station_tests::skip("promtool is missing: apt-get install prometheus");
    }
    let mut command = process::command(&program);
    command.args(arguments).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn()?;
    let mut to = child.stdin.take().context("its input")?;
    to.write_all(input.as_bytes()).await?;
    drop(to);
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await??;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    Ok(())
}
