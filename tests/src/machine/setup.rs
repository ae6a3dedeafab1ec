//! What tests and measurements begin with: a machine, its user, the package, JupyterLab.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Machine;
use crate::{jupyter, process};
use anyhow::{Context, Result, ensure};
use station_proto::app::AppPhase;
use station_proto::heartbeat::Heartbeat;

/// The version of the package under test, and of the one that comes after it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const NEXT: &str = "99.0.0";
pub const MAIN: &str = "stationd.service";
pub const APP: &str = "stationd-app-jupyterlab.service";
/// Long enough for a loaded machine, short enough to be a failure.
pub const SOON: Duration = Duration::from_secs(60);

/// A machine with the user `ada`.
pub async fn fresh() -> Result<Machine> {
    let machine = Machine::boot().await?;
    machine.must("useradd --create-home --shell /bin/bash ada").await?;
    Ok(machine)
}

/// A machine on which the package runs JupyterLab for `ada`.
pub async fn with_jupyterlab() -> Result<Machine> {
    let machine = fresh().await?;
    configure(&machine, "")?;
    install(&machine, VERSION).await?;
    machine.admin.app_in(AppPhase::Ready).await?;
    Ok(machine)
}

/// Writes the configuration; `more` goes into `[instance]`.
pub fn configure(machine: &Machine, more: &str) -> Result<()> {
    let lab = jupyter::lab().context(jupyter::MISSING)?.canonicalize()?;
    let text = format!(
        "[instance]\nlocal_user = \"ada\"\n{more}\n\
         [[app]]\nname = \"jupyterlab\"\nkind = \"jupyterlab\"\ncommand = {:?}\n",
        lab.display().to_string()
    );
    write(machine, "/etc/stationd/stationd.toml", &text)
}

/// Puts a file into the machine.
pub fn write(machine: &Machine, path: &str, text: &str) -> Result<()> {
    let file = machine.path(path);
    std::fs::create_dir_all(file.parent().context("a file has a folder")?)?;
    Ok(stationd::os::file::write_atomic(&file, text.as_bytes(), 0o644)?)
}

/// What `scripts/package` has built.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/package").join(name);
    ensure!(path.is_file(), "{} is missing: run `scripts/test boot`", path.display());
    Ok(path)
}

/// The .deb lies in the machine afterwards.
pub fn bring(machine: &Machine, version: &str) -> Result<String> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let inside = format!("/var/tmp/stationd_{version}_{architecture}.deb");
    machine.copy_in(&built(inside.trim_start_matches("/var/tmp/"))?, &inside)?;
    Ok(inside)
}

/// Installs, upgrades or downgrades, as an unattended script does: nobody is there to answer.
pub async fn install(machine: &Machine, version: &str) -> Result<()> {
    let package = bring(machine, version)?;
    machine
        .must(&format!("DEBIAN_FRONTEND=noninteractive dpkg --install {package} </dev/null"))
        .await?;
    Ok(())
}

/// Waits until the heartbeat answers, whoever was restarted.
pub async fn heartbeat(machine: &Machine) -> Result<Heartbeat> {
    machine.admin.wait_for("a heartbeat", SOON, |_| true).await
}

/// Waits until a property of a unit is what is wanted.
pub async fn until(
    machine: &Machine,
    unit: &str,
    name: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<String> {
    let what = format!("{name} of {unit}");
    process::eventually_async(&what, SOON, async || {
        machine.property(unit, name).await.ok().filter(|value| wanted(value))
    })
    .await
}

/// The processes of stationd and of its apps, one line each.
pub async fn processes(machine: &Machine) -> Result<String> {
    let line = "ps -eo user:20,pid,args | grep -E '^(stationd|ada)|/usr/bin/stationd' | \
                grep -v grep || true";
    machine.must(line).await
}
