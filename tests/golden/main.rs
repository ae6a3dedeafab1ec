//! Golden files: what others depend on may change only on purpose.
//!
//! Renew them with `UPDATE_GOLDEN=1 cargo test -p station-tests --test golden`, and read the
//! difference before it is committed.

use std::path::{Path, PathBuf};
use std::process::Command;

use station_tests::binary;

/// The file `path` of the repository must hold exactly `text`.
fn golden(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        stationd::os::file::write_atomic(&file, text.as_bytes(), 0o644).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        known == text,
        "{path} is not what the code makes now; if that is on purpose, renew it with \
         UPDATE_GOLDEN=1 and commit it.\n--- now ---\n{text}"
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[expect(clippy::disallowed_methods, reason = "a test looks at the programs from outside")]
fn help(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary(program).unwrap())
        .args(arguments)
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_api() {
    let text = serde_json::to_string_pretty(&stationd::admin::openapi()).unwrap();
    golden("proto/openapi/stationd-v1.json", &(text + "\n"));
}

#[test]
fn the_help_of_stationd() {
    golden("tests/golden/stationd-help.txt", &help("stationd", &["--help"]));
}

#[test]
fn the_help_of_stationctl() {
    let mut text = help("stationctl", &["--help"]);
    for verb in ["status", "heartbeat", "login", "app", "events", "explain", "check", "down"] {
        text += &format!("\n=== {verb} ===\n{}", help("stationctl", &[verb, "--help"]));
    }
    for verb in ["list", "start", "stop", "restart", "logs"] {
        text += &format!("\n=== app {verb} ===\n{}", help("stationctl", &["app", verb, "--help"]));
    }
    golden("tests/golden/stationctl-help.txt", &text);
}

#[test]
fn the_conditions() {
    let kinds = stationd::base::conditions::Kind::ALL;
    let lines = kinds.map(|kind| {
        let text = kind.explained();
        format!("{} degrades={}", text.name, text.degrades)
    });
    golden("tests/golden/conditions.txt", &(lines.join("\n") + "\n"));
}

#[test]
fn the_unit_waits_longer_than_a_stop_can_take() {
    let unit = std::fs::read_to_string(root().join("systemd/stationd.service")).unwrap();
    let limit = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
    let seconds: u64 = limit.expect("TimeoutStopSec in the unit").trim().parse().unwrap();
    let longest = stationd::lifecycle::stop_limit().as_secs();
    assert!(seconds > longest, "TimeoutStopSec={seconds} and a stop takes up to {longest} s");
}
