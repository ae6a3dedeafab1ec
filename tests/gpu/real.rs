//! A real GPU, where there is one: what stationd says of it is what NVIDIA's own tool says.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use station_tests::gpus;
use station_tests::process::{self, binary};
use station_tests::station::{App, Station};
use stationd::probe::gpu::Round;

/// `nvidia-smi`, where drivers put it.
const TOOLS: [&str; 2] = ["/usr/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi"];
/// Set by `scripts/test --gpu`: then a machine without a GPU is a failure.
const WANTED: &str = "STATION_GPU";

/// The text between `<tag>` and `</tag>`, below the first `<within>`.
fn value<'a>(xml: &'a str, within: &str, tag: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{within}>"))?;
    let (_, rest) = rest.split_once(&format!("<{tag}>"))?;
    rest.split_once("</").map(|(value, _)| value.trim())
}

/// `72.31 W` as 72.31; `N/A` as nothing.
fn number(text: Option<&str>) -> Option<f64> {
    text?.split_whitespace().next()?.parse().ok()
}

/// `nvidia-smi` of this machine; absent where there is none.
fn tool() -> Result<Option<&'static Path>> {
    let found = TOOLS.iter().map(Path::new).find(|path| path.exists());
    if found.is_none() {
        ensure!(std::env::var_os(WANTED).is_none(), "no GPU: there is no nvidia-smi");
        eprintln!("SKIPPED: no NVIDIA driver on this machine, nothing is compared with nvidia-smi");
    }
    Ok(found)
}

#[tokio::test]
async fn it_says_what_nvidia_smi_says() -> Result<()> {
    let Some(tool) = tool()? else { return Ok(()) };
    let mut asking = gpus::ask(&[])?;
    let round: Round = asking.round().await?;
    let smi = process::command(tool).args(["-q", "-x"]).output().await?;
    let xml = String::from_utf8(smi.stdout)?;
    let mut compared = 0;
    for reading in &round.gpus {
        let gpu = &reading.gpu;
        let uuid = gpu.summary.uuid.as_deref().context("a UUID")?;
        let own = xml.split("<gpu id=").find(|part| part.contains(uuid)).context("the same GPU")?;
        let text = |within: &str, tag: &str| value(own, within, tag).filter(|text| *text != "N/A");
        let mut same = |name: &str, ours: Option<String>, theirs: Option<&str>| {
            let theirs = theirs.map(str::to_owned);
            assert_eq!(ours, theirs, "{name}");
            compared += usize::from(ours.is_some());
        };
        let upper = |text: &Option<String>| text.as_deref().map(str::to_uppercase);
        same("name", gpu.summary.name.clone(), plain(own, "product_name"));
        same("architecture", gpu.model.architecture.clone(), plain(own, "product_architecture"));
        same("serial", gpu.model.serial.clone(), plain(own, "serial"));
        same("VBIOS", upper(&gpu.model.vbios), plain(own, "vbios_version"));
        same("part", gpu.model.part_number.clone(), plain(own, "board_part_number"));
        same("firmware", gpu.model.gsp_firmware.clone(), plain(own, "gsp_firmware_version"));
        let pstate = gpu.clocks.performance_state.map(|state| format!("P{state}"));
        same("performance state", pstate, plain(own, "performance_state"));
        let close = |ours: Option<f64>, theirs: Option<&str>, tolerance: f64, name: &str| {
            let (Some(ours), Some(theirs)) = (ours, number(theirs)) else {
                panic!("{name}: {ours:?} and {theirs:?}");
            };
            assert!((ours - theirs).abs() <= tolerance, "{name}: {ours} and {theirs}");
        };
        let float =
            |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok()).map(f64::from);
        let memory = "fb_memory_usage";
        close(float(gpu.memory.total_mib), text(memory, "total"), 0.0, "memory");
        close(float(gpu.memory.reserved_mib), text(memory, "reserved"), 64.0, "reserved");
        close(float(gpu.memory.used_mib), text(memory, "used"), 64.0, "used");
        close(gpu.heat.gpu_c.map(f64::from), text("temperature", "gpu_temp"), 4.0, "temperature");
        close(
            gpu.heat.power_mw.map(|mw| f64::from(mw) / 1000.0),
            text("gpu_power_readings", "average_power_draw"),
            60.0,
            "power",
        );
        close(
            gpu.heat.power_limit_mw.map(|mw| f64::from(mw) / 1000.0),
            text("gpu_power_readings", "current_power_limit"),
            1.0,
            "limit",
        );
        close(gpu.clocks.sm_max_mhz.map(f64::from), text("max_clocks", "sm_clock"), 0.0, "clock");
        close(
            gpu.links.pcie_width.map(f64::from),
            text("link_widths", "current_link_width").map(|text| text.trim_end_matches('x')),
            0.0,
            "lanes",
        );
        compared += 8;
    }
    ensure!(compared >= 12, "only {compared} values were compared");
    Ok(())
}

/// The text of a tag anywhere; `N/A` is nothing.
fn plain<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    rest.split_once("</").map(|(value, _)| value.trim()).filter(|text| *text != "N/A")
}

#[tokio::test]
async fn a_whole_station_finds_the_gpu_healthy() -> Result<()> {
    if tool()?.is_none() {
        return Ok(());
    }
    binary("stationd")?;
    let station = Station::start(App::None, "").await?;
    let there = |now: &station_proto::heartbeat::Heartbeat| {
        !now.status.gpus.is_empty() && now.samples.as_ref().is_some_and(|now| !now.gpus.is_empty())
    };
    let heartbeat = station.wait_for("the GPU", std::time::Duration::from_secs(60), there).await?;
    let health = heartbeat.status.gpus[0].health;
    ensure!(health == station_proto::gpu::GpuHealth::Healthy, "{heartbeat:#?}");
    Ok(())
}
