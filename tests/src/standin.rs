//! The stand-in for JupyterLab: an app whose behaviour a test chooses while it runs.
//!
//! `misbehaving-app` takes jupyter-lab's arguments and listens where it is told. It finds the test's
//! folder through `STATIOND_SOCKET`, reads there what to do ([`Behaviour`]) and writes down every
//! request that reached it, except stationd's own probes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use stationd::os::file::write_atomic;

/// What the stand-in does from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    #[default]
    Work,
    /// Takes requests and never answers, probes included.
    Hang,
    /// Ends with code 3 on the next request, after two lines on standard error.
    Crash,
    /// Ends with code 3 at once when it is started.
    CrashAtStart,
    /// Starts and never listens.
    NeverListen,
    /// Answers every upgrade with 403.
    RefuseUpgrades,
    /// Starts children that leave the process group, the session, and ignore SIGTERM.
    Escape,
    /// Writes log lines as fast as they are taken.
    Flood,
}

/// A request that reached the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub method: String,
    /// The raw target, as it came.
    pub target: String,
    pub headers: Vec<(String, String)>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(&field.1)
    }
}

fn folder(station: &Path) -> PathBuf {
    station.join("standin")
}

/// Makes the folder in which test and stand-in meet.
pub fn prepare(station: &Path) -> Result<()> {
    std::fs::create_dir(folder(station))?;
    behave(station, Behaviour::Work)
}

/// Sets the behaviour.
pub fn behave(station: &Path, behaviour: Behaviour) -> Result<()> {
    let text = serde_json::to_vec(&behaviour)?;
    Ok(write_atomic(&folder(station).join("behaviour"), &text, 0o644)?)
}

/// What the stand-in is to do; [`Behaviour::Work`] if nothing is said.
pub fn behaviour(station: &Path) -> Behaviour {
    std::fs::read(folder(station).join("behaviour"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// Where the stand-in writes down what it saw.
pub fn seen_file(station: &Path) -> PathBuf {
    folder(station).join("seen")
}

/// Every request that reached the app, without stationd's probes.
pub fn seen(station: &Path) -> Result<Vec<Seen>> {
    let text = std::fs::read_to_string(seen_file(station)).unwrap_or_default();
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
