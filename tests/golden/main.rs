//! Golden files: what others depend on may change only on purpose.
//!
//! Renew them with `UPDATE_GOLDEN=1 cargo test -p station-tests --test golden`, and read the
//! difference before it is committed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use station_tests::process::binary;

/// The file `path` of the repository must hold exactly `text`.
fn golden(path: &str, text: &str) -> Result<()> {
    let file = root().join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        stationd::os::file::write_atomic(&file, text.as_bytes(), 0o644)?;
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    ensure!(
        known == text,
        "{path} is not what the code makes now; if that is on purpose, renew it with \
         UPDATE_GOLDEN=1 and commit it.\n--- now ---\n{text}"
    );
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `=== PROGRAM ARGUMENTS ===` and what `--help` prints.
#[expect(clippy::disallowed_methods, reason = "a test looks at the programs from outside")]
fn help(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(binary(program)?)
        .args(arguments)
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "100")
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    Ok(format!("=== {program} {}===\n{text}\n", arguments.join(" ") + " "))
}

#[test]
fn the_api() -> Result<()> {
    let text = serde_json::to_string_pretty(&stationd::admin::openapi())?;
    golden("proto/openapi/stationd-v1.json", &(text + "\n"))
}

#[test]
fn the_help_of_stationd() -> Result<()> {
    golden("tests/golden/stationd-help.txt", &help("stationd", &[])?)
}

#[test]
fn the_help_of_stationctl() -> Result<()> {
    let verbs =
        ["status", "heartbeat", "login", "token", "app", "events", "explain", "check", "down"];
    let app_verbs = ["list", "start", "stop", "restart", "logs"];
    let token_verbs = ["list", "revoke"];
    let mut all = vec![help("stationctl", &[])?];
    for verb in verbs {
        all.push(help("stationctl", &[verb])?);
    }
    for verb in app_verbs {
        all.push(help("stationctl", &["app", verb])?);
    }
    for verb in token_verbs {
        all.push(help("stationctl", &["token", verb])?);
    }
    golden("tests/golden/stationctl-help.txt", &all.concat())
}

#[test]
fn the_conditions() -> Result<()> {
    let lines = stationd::base::conditions::Kind::ALL.map(|kind| {
        let text = kind.explained();
        format!("{} degrades={}\n", text.name, text.degrades)
    });
    golden("tests/golden/conditions.txt", &lines.concat())
}

#[test]
fn the_metrics() -> Result<()> {
    let text = stationd::wiring::metrics_text();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("# ")).collect();
    golden("tests/golden/metrics.txt", &(lines.join("\n") + "\n"))
}

#[test]
fn the_unit_waits_longer_than_a_stop_can_take() -> Result<()> {
    let unit = std::fs::read_to_string(root().join("systemd/stationd.service"))?;
    let limit = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
    let seconds: u64 = limit.context("no TimeoutStopSec")?.trim_end_matches('s').parse()?;
    let longest = stationd::lifecycle::stop_limit().as_secs();
    ensure!(seconds > longest, "TimeoutStopSec={seconds}, and a stop takes up to {longest} s");
    Ok(())
}

#[test]
fn an_app_has_the_same_grace_under_systemd_as_under_a_keeper() -> Result<()> {
    let file = root().join("systemd/stationd-app-.service.d/stationd.conf");
    let text = std::fs::read_to_string(file)?;
    let wanted = format!("TimeoutStopSec={}s", stationd::base::limits::APP_STOP.as_secs());
    ensure!(text.lines().any(|line| line == wanted), "{wanted} is not in it");
    Ok(())
}

#[test]
fn the_unit_does_not_undo_a_down() -> Result<()> {
    let unit = std::fs::read_to_string(root().join("systemd/stationd.service"))?;
    ensure!(unit.lines().any(|line| line == "Restart=on-failure"), "`down` ends with 0");
    Ok(())
}
