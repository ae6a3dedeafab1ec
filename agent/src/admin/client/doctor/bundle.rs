//! `stationctl doctor --bundle FILE`: everything that somebody who helps wants to see, in one file.
//!
//! It is taken from the API, from the configuration and from the journal, as far as the caller may see them,
//! and every text goes through `base::text::scrub` first. What could not be had is named with the reason: a
//! stationd that does not run is when help is needed most.

mod settings;
mod tar;

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use serde_json::{Value, json};
use station_proto::event::Event;
use station_proto::heartbeat::Status;

use self::tar::Entry;
use super::super::verbs::text;
use super::super::{ClientError, Connection, Printer, connection};
use super::{Tried, line, try_all};
use crate::base::chain::Chain;
use crate::base::text::scrub;
use crate::config::Paths;
use crate::os::command::{self, Program};
use crate::os::{clock, file, machine};

/// What the API is asked for as it is.
const DOCUMENTS: [(&str, &str); 8] = [
    ("status.json", "/v1/status"),
    ("node.json", "/v1/node"),
    ("samples.json", "/v1/samples"),
    ("gpus.json", "/v1/gpus"),
    ("gpu-calls.json", "/v1/gpus/calls"),
    ("mounts.json", "/v1/mounts"),
    ("apps.json", "/v1/apps"),
    ("lease.json", "/v1/lease"),
];
/// Events are of the last day; more bytes of them are not kept.
const EVENTS: SignedDuration = SignedDuration::from_hours(24);
const EVENT_BYTES: usize = 8 * 1024 * 1024;
/// Lines of an app's log, and of each unit's journal.
const LOG_LINES: usize = 500;
const JOURNAL_LINES: &str = "200";
const JOURNAL: Duration = Duration::from_secs(10);
const UNITS: [&str; 3] =
    ["stationd.service", "stationd-privileged.service", "stationd-probe.service"];
/// No file of the configuration is larger.
const CONFIG: u64 = 1024 * 1024;
/// How long the answer to one question may take.
const ANSWER: Duration = Duration::from_secs(30);

/// What was gathered, and what could not be.
#[derive(Default)]
struct Bundle {
    entries: Vec<Entry>,
    missing: Vec<(String, String)>,
}

impl Bundle {
    fn add(&mut self, name: &str, text: &str) {
        let bytes = scrub::text(text).into_bytes();
        self.entries.push(Entry { name: name.to_owned(), bytes });
    }

    fn add_json(&mut self, name: &str, mut value: Value) {
        scrub::json(&mut value);
        let bytes = serde_json::to_vec_pretty(&value).unwrap_or_default();
        self.entries.push(Entry { name: name.to_owned(), bytes });
    }

    fn lacks(&mut self, name: &str, why: impl Into<String>) {
        self.missing.push((name.to_owned(), scrub::text(&why.into())));
    }
}

/// Gathers, writes `to`, which must not be there, and says what is in it.
pub(in crate::admin::client) async fn run(
    sockets: &[PathBuf],
    to: &Path,
    printer: &Printer,
) -> Result<(), ClientError> {
    let refuse = |error: &file::FileError| {
        ClientError::Unknown(format!("{}: name a file that is not there yet", Chain(error)))
    };
    // Before the work, so that nobody waits for a refusal.
    let mut target = file::create_private(to).map_err(|error| refuse(&error))?;
    let bundle = gather(sockets, printer).await;
    let written = packed(&bundle).and_then(|bytes| {
        target.write_all(&bytes)?;
        target.sync_all()
    });
    if let Err(error) = written {
        // Half a bundle is none; that it stays is said with the error.
        drop(std::fs::remove_file(to));
        return Err(ClientError::Unknown(format!("cannot write {}: {error}", to.display())));
    }
    told(&bundle, to, printer)
}

async fn gather(sockets: &[PathBuf], printer: &Printer) -> Bundle {
    let mut bundle = Bundle::default();
    versions(&mut bundle);
    match Connection::open(sockets).await {
        Ok(station) => {
            from_station(&mut bundle, &station, printer).await;
            configuration(&mut bundle, &[station.socket().to_owned()]);
        }
        Err(error) => {
            bundle.lacks("what stationd says", Chain(&error).to_string());
            configuration(&mut bundle, sockets);
        }
    }
    for unit in UNITS {
        journal(&mut bundle, unit).await;
    }
    bundle
}

fn versions(bundle: &mut Bundle) {
    let of = |file: &str| machine::text(file, 64 * 1024).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let kernel = of("/proc/version");
    let text = format!("stationctl {version}\n{kernel}\n{}", of("/etc/os-release"));
    bundle.add("versions.txt", &text);
}

async fn from_station(bundle: &mut Bundle, station: &Connection, printer: &Printer) {
    for (name, path) in DOCUMENTS {
        match in_time(station.json::<Value>(Method::GET, path, None)).await {
            Ok(value) => bundle.add_json(name, value),
            Err(why) => bundle.lacks(name, why),
        }
    }
    match in_time(station.bytes(Method::GET, "/metrics", None)).await {
        Ok(bytes) => bundle.add("metrics.txt", &String::from_utf8_lossy(&bytes)),
        Err(why) => bundle.lacks("metrics.txt", why),
    }
    match in_time(events(station)).await {
        Ok(text) => bundle.add("events.ndjson", &text),
        Err(why) => bundle.lacks("events.ndjson", why),
    }
    match in_time(station.json::<Status>(Method::GET, "/v1/status", None)).await {
        Ok(status) => {
            for app in &status.apps {
                logs(bundle, station, &app.name).await;
            }
            canaries(bundle, station, &status, printer).await;
        }
        Err(why) => bundle.lacks("doctor.txt", why),
    }
}

/// An answer, or why there is none.
async fn in_time<T>(asks: impl Future<Output = Result<T, ClientError>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER, asks).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Chain(&error).to_string()),
        Err(_elapsed) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

async fn canaries(bundle: &mut Bundle, station: &Connection, status: &Status, printer: &Printer) {
    let mut said = String::new();
    let tell = |tried: &Tried| {
        printer.note(&format!("tried: {} {}", tried.check, tried.subject));
        said.push_str(&line(tried));
        Ok(())
    };
    match try_all(station, status, tell).await {
        Ok(all) => {
            bundle.add("doctor.txt", &said);
            bundle.add_json("doctor.json", json!(all));
        }
        Err(error) => bundle.lacks("doctor.txt", Chain(&error).to_string()),
    }
}

async fn logs(bundle: &mut Bundle, station: &Connection, app: &str) {
    let path = format!("/v1/apps/{app}/logs?lines={LOG_LINES}");
    let name = format!("logs/{app}.log");
    match in_time(station.json::<Value>(Method::GET, &path, None)).await {
        Ok(answer) => {
            let lines = answer.get("lines").and_then(Value::as_array).into_iter().flatten();
            let lines: Vec<&str> = lines.filter_map(Value::as_str).collect();
            bundle.add(&name, &(lines.join("\n") + "\n"));
        }
        Err(why) => bundle.lacks(&name, why),
    }
}

/// Those of the last day, a line each.
async fn events(station: &Connection) -> Result<String, ClientError> {
    let response = station.stream("/v1/events?after=0&follow=false").await?;
    if !response.status().is_success() {
        return Err(ClientError::Answer(format!("status {}", response.status())));
    }
    let since = clock::now().wall.checked_sub(EVENTS).unwrap_or_default();
    let (mut body, mut pending, mut all) = (response.into_body(), Vec::new(), String::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| connection::broken(&error))?;
        pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let recent = serde_json::from_slice::<Event>(&line).is_ok_and(|one| one.at.0 >= since);
            let Ok(mut value) = serde_json::from_slice::<Value>(&line) else { continue };
            if recent && all.len() < EVENT_BYTES {
                scrub::json(&mut value);
                all.push_str(&value.to_string());
                all.push('\n');
            }
        }
    }
    Ok(all)
}

/// The files of the installation that one of the sockets belongs to.
fn configuration(bundle: &mut Bundle, sockets: &[PathBuf]) {
    let of = |socket: &PathBuf| {
        let home = socket.parent().and_then(Path::parent).map(Paths::under);
        [Some(Paths::system()), home].into_iter().flatten().find(|one| one.admin_socket == *socket)
    };
    let known: Vec<Paths> = sockets.iter().filter_map(of).collect();
    if known.is_empty() {
        bundle.lacks("config", "the socket was named, so its configuration is not known");
    }
    for paths in known {
        let mut files = vec![paths.config_file.clone()];
        let more = std::fs::read_dir(&paths.conf_dir).into_iter().flatten().flatten();
        let more = more.map(|entry| entry.path());
        files.extend(more.filter(|path| path.extension().is_some_and(|end| end == "toml")));
        for path in files.iter().filter(|path| path.exists()) {
            let name = format!("config{}", path.display());
            let name = name.chars().rev().take(90).collect::<Vec<_>>().into_iter().rev().collect();
            one_file(bundle, path, name);
        }
    }
}

fn one_file(bundle: &mut Bundle, path: &Path, name: String) {
    let bytes = match file::read_limited(path, CONFIG) {
        Ok(bytes) => bytes,
        Err(error) => return bundle.lacks(&name, Chain(&error).to_string()),
    };
    match settings::shown(&String::from_utf8_lossy(&bytes)) {
        // It was gone through key by key, and keeps its form.
        Some(text) => bundle.entries.push(Entry { name, bytes: text.into_bytes() }),
        None => bundle.lacks(&name, "it is not TOML: `stationctl check` says where"),
    }
}

async fn journal(bundle: &mut Bundle, unit: &str) {
    let name = format!("logs/{unit}.log");
    let arguments = ["--unit", unit, "--lines", JOURNAL_LINES, "--no-pager", "--output=short-iso"];
    let program = Program {
        program: PathBuf::from("/usr/bin/journalctl"),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: [("LC_ALL".to_owned(), "C.UTF-8".to_owned())].into(),
        folder: PathBuf::from("/"),
        account: None,
    };
    match command::run_as(&program, JOURNAL, |_| false).await {
        Ok(output) if output.success => {
            bundle.add(&name, &String::from_utf8_lossy(&output.stdout));
        }
        Ok(output) => bundle.lacks(&name, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => bundle.lacks(&name, Chain(&error).to_string()),
    }
}

fn packed(bundle: &Bundle) -> std::io::Result<Vec<u8>> {
    let now = clock::now().wall.as_second();
    let mut entries = bundle.entries.clone();
    let missing: String =
        bundle.missing.iter().flat_map(|(name, why)| [name, ": ", why, "\n"]).collect();
    entries.push(Entry { name: "missing.txt".to_owned(), bytes: missing.into_bytes() });
    for entry in &mut entries {
        entry.name = format!("stationd-bundle/{}", entry.name.trim_start_matches('/'));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(&tar::archive(&entries, u64::try_from(now).unwrap_or(0)))?;
    encoder.finish()
}

fn told(bundle: &Bundle, to: &Path, printer: &Printer) -> Result<(), ClientError> {
    let entries: Vec<Value> = bundle
        .entries
        .iter()
        .map(|entry| json!({ "name": entry.name, "bytes": entry.bytes.len() }))
        .collect();
    let missing: Vec<Value> =
        bundle.missing.iter().map(|(name, why)| json!({ "name": name, "reason": why })).collect();
    if printer.json {
        let all = json!({ "file": to, "entries": entries, "missing": missing });
        return printer.answer(&all, "");
    }
    let mut said = format!("{} holds\n", to.display());
    for entry in &bundle.entries {
        said.extend([format!("{:>9} B  {}\n", entry.bytes.len(), entry.name)]);
    }
    for (name, why) in &bundle.missing {
        said.extend([format!("  without  {name}: {why}\n")]);
    }
    said.push_str(
        "Passwords, keys and tokens were taken out; look through it before you send it.\n",
    );
    text(&said)
}
