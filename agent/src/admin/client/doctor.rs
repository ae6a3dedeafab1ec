//! `stationctl doctor`: tries what the workstation is for, and says what does not work.

pub(super) mod bundle;

use std::path::Path;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::json;
use station_proto::heartbeat::Status;
use station_proto::token::NewToken;

use super::args::Canary;
use super::verbs::{get, print_json, text};
use super::words::printable;
use super::{ClientError, Connection, Printer};
use crate::base::chain::Chain;
use crate::diagnose::container::ContainerError;
use crate::diagnose::{container, cuda, kernel, share};
use crate::os::clock;

/// How long the token for a kernel holds.
const TOKEN_SECONDS: u64 = 120;
const ACTION: &str = "`stationctl status` and `stationctl app show NAME` say what the app does; \
                      `stationctl app logs NAME` has its own words.";

/// What became of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Passed,
    Failed,
    /// There was nothing to try.
    Skipped,
}

/// One canary, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Tried {
    /// `kernel`, `share`, `container` or `gpu`.
    check: &'static str,
    /// The app, the mount, the engine or the GPU.
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    outcome: Outcome,
    took_ms: u64,
    message: String,
    /// What to do; empty if there is nothing to do.
    #[serde(skip_serializing_if = "str::is_empty")]
    action: &'static str,
}

/// Tries everything; each is printed when it has ended.
pub(super) async fn run(station: &Connection, printer: &Printer) -> Result<(), ClientError> {
    let status: Status = get(station, "/v1/status").await?;
    let tell = |tried: &Tried| if printer.json { Ok(()) } else { text(&line(tried)) };
    let all = try_all(station, &status, tell).await?;
    let failed = all.iter().filter(|one| one.outcome == Outcome::Failed).count();
    if printer.json {
        print_json(&all)?;
    }
    if failed == 0 {
        return Ok(());
    }
    Err(ClientError::Unknown(format!("{failed} of {} failed", all.len())))
}

/// One after the other; `told` hears of each when it has ended.
async fn try_all(
    station: &Connection,
    status: &Status,
    mut told: impl FnMut(&Tried) -> Result<(), ClientError>,
) -> Result<Vec<Tried>, ClientError> {
    let program = std::env::current_exe()
        .map_err(|error| ClientError::Unknown(format!("this program is not found: {error}")))?;
    let mut all = Vec::new();
    let mut tell = |tried: Tried| {
        let said = told(&tried);
        all.push(tried);
        said
    };
    tell(kernels(station, status).await)?;
    for mount in &status.mounts {
        tell(shares(&program, &mount.name, &mount.path).await)?;
    }
    tell(containers().await)?;
    for gpu in &status.gpus {
        tell(gpus(&program, gpu.index, &gpu.pci).await)?;
    }
    if status.gpus.is_empty() {
        tell(skipped("gpu", String::new(), "there is no NVIDIA GPU in this machine".to_owned()))?;
    }
    Ok(all)
}

/// Does what a process of its own is for.
pub(super) fn canary(what: Canary, subject: &str) -> Result<(), ClientError> {
    let done = match what {
        Canary::Share => {
            share::try_here(Path::new(subject)).map_err(|error| Chain(&error).to_string())
        }
        Canary::Gpu => {
            let index = subject.parse();
            let index = index.map_err(|_no_number| format!("{subject:?} is no GPU's number"));
            index.and_then(|index| cuda::try_here(index).map_err(|error| Chain(&error).to_string()))
        }
    };
    done.map_err(ClientError::Unknown)
}

/// A kernel in the first Jupyter that should run.
async fn kernels(station: &Connection, status: &Status) -> Tried {
    let jupyter = |kind: &str| matches!(kind, "jupyter" | "jupyterlab");
    let found = status.apps.iter().find(|app| jupyter(&app.kind) && app.wanted);
    let Some(app) = found else {
        return skipped("kernel", String::new(), "no Jupyter should be running".to_owned());
    };
    let name = app.name.clone();
    let body = json!({ "app": name, "ttl_seconds": TOKEN_SECONDS, "note": "stationctl doctor" });
    let made: Result<NewToken, ClientError> =
        station.json(Method::POST, "/v1/tokens", Some(&body)).await;
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            let why = Err(Chain(&error).to_string());
            return tried("kernel", name, (why, Duration::ZERO), ACTION);
        }
    };
    let before = clock::since_boot();
    let url: Option<http::Uri> = made.url.parse().ok();
    let host = url.as_ref().and_then(http::Uri::host).filter(|_host| !made.loopback);
    let base = url.as_ref().map_or("", http::Uri::path).trim_end_matches('/');
    let jupyter = kernel::Jupyter { base, secret: &made.secret, port: made.port, host };
    let done = kernel::check(&jupyter).await;
    let took = clock::since_boot().saturating_sub(before);
    let path = format!("/v1/tokens/{}", made.token.id);
    if let Err(error) = station.bytes(Method::DELETE, &path, None).await {
        tracing::debug!(%error, "the token ends by itself");
    }
    let done = done.map(|()| "a new kernel says that 1+1 is 2".to_owned());
    tried("kernel", name, (done.map_err(|error| Chain(&error).to_string()), took), ACTION)
}

async fn shares(program: &Path, name: &str, path: &str) -> Tried {
    let before = clock::since_boot();
    let done = share::check(program, path).await;
    let took = clock::since_boot().saturating_sub(before);
    let done = done.map(|()| format!("a file was written, read back and deleted in {path}"));
    let action = "`stationctl status` says how the mount does; `df` and `ls -ld` on its folder show \
                  room and rights.";
    tried("share", name.to_owned(), (done.map_err(|error| Chain(&error).to_string()), took), action)
}

async fn containers() -> Tried {
    let before = clock::since_boot();
    let done = container::check().await;
    let took = clock::since_boot().saturating_sub(before);
    let done = match done {
        Ok(engine) => Ok(format!("{engine} ran a container")),
        Err(ContainerError::Skipped(why)) => {
            return skipped("container", String::new(), why.to_string());
        }
        Err(error) => Err(Chain(&error).to_string()),
    };
    let action = "`docker info` says how the engine does; its log is in `journalctl -u docker`.";
    tried("container", String::new(), (done, took), action)
}

async fn gpus(program: &Path, index: Option<u32>, pci: &str) -> Tried {
    let Some(index) = index else {
        let why = "the driver does not list it; `stationctl gpu` says more".to_owned();
        return skipped("gpu", pci.to_owned(), why);
    };
    let before = clock::since_boot();
    let done = cuda::check(program, index).await;
    let took = clock::since_boot().saturating_sub(before);
    let done = done.map(|()| "1 MiB went to the GPU and back".to_owned());
    let done = done.map_err(|error| Chain(&error).to_string());
    let action = "`stationctl gpu` says what is wrong with it, and who holds its memory.";
    tried("gpu", index.to_string(), (done, took), action)
}

fn tried(
    check: &'static str,
    subject: String,
    (done, took): (Result<String, String>, Duration),
    action: &'static str,
) -> Tried {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match done {
        Ok(message) => {
            Tried { check, subject, outcome: Outcome::Passed, took_ms, message, action: "" }
        }
        Err(message) => {
            Tried { check, subject, outcome: Outcome::Failed, took_ms, message, action }
        }
    }
}

fn skipped(check: &'static str, subject: String, message: String) -> Tried {
    Tried { check, subject, outcome: Outcome::Skipped, took_ms: 0, message, action: "" }
}

/// One canary for a person.
fn line(tried: &Tried) -> String {
    let word = match tried.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    };
    let what = format!("{} {}", tried.check, tried.subject);
    let took = match tried.outcome {
        Outcome::Passed => format!(" ({} ms)", tried.took_ms),
        Outcome::Failed | Outcome::Skipped => String::new(),
    };
    let action = match tried.action {
        "" => String::new(),
        action => format!("\n{:31} what to do: {}", "", action.replace("NAME", &tried.subject)),
    };
    format!("{word:<8} {:<22} {}{took}{action}\n", what.trim_end(), printable(&tried.message))
}
