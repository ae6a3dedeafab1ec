//! The keys of one `[[app]]` that need more than a look: command, port, size. Pure.

use std::path::Path;
use std::time::Duration;

use crate::base::text::placeholders;
use crate::config::model::AppKind;
use crate::config::parts::absolute_path;
use crate::config::reader::{Found, Reader};

/// What a custom app's command may hold, and is told at its start.
const KNOWN: [&str; 5] = ["port", "socket", "prefix", "base_url", "folder"];
/// Less would end a server before it answers.
const MEMORY_LEAST: u64 = 64 * MIB;
const MEMORY_MOST: u64 = 1 << 60;
const MIB: u64 = 1 << 20;
const IDLE_MINUTES_MAX: i64 = 30 * 24 * 60;

/// The program with its arguments: a text, or a list of texts; empty if stationd is to look for it.
pub(super) fn command(table: &Reader<'_>, kind: Option<AppKind>) -> Vec<String> {
    let custom = kind == Some(AppKind::Custom);
    let words = if table.is_list("command") {
        let words = table.texts("command").unwrap_or_default();
        if let Some(program) = words.first() {
            program_name(program);
        }
        words
    } else {
        let remedy = "add command = [\"PROGRAM\", \"ARGUMENT\", …]";
        let found =
            if custom { table.text_required("command", remedy) } else { table.text("command") };
        let Some(found) = found else { return Vec::new() };
        if custom {
            program_name(&found);
        } else if absolute_path(&found).is_none() {
            return Vec::new();
        }
        vec![found]
    };
    if custom {
        check_custom(table, &words);
    }
    words.into_iter().map(|found| found.value).collect()
}

/// A path, or a name that is looked for.
fn program_name(found: &Found<'_, String>) {
    let name = &found.value;
    if name.contains('/') {
        absolute_path(found);
    } else if name.is_empty() || name.contains('\0') || name.starts_with('-') {
        found.wrong(format!("{name:?} is not a program"), "begin with the program's name or path");
    }
}

fn check_custom(table: &Reader<'_>, words: &[Found<'_, String>]) {
    let mut listens = table.has("ports");
    for word in words {
        for name in placeholders::names(&word.value) {
            listens |= name == "socket";
            if !KNOWN.contains(&name) {
                word.wrong(
                    format!("{{{name}}} is not known"),
                    format!(
                        "write one of {{{}}}, or {{{{{name}}}}} for the text itself",
                        KNOWN.join("}, {")
                    ),
                );
            } else if name == "port" && !table.has("ports") {
                word.wrong("{port} stands for the one port in ports", "add ports = [PORT]");
            }
        }
    }
    if !listens && let Some(first) = words.first() {
        first.wrong(
            "it is not said where the app listens",
            "add ports = [PORT], or let it listen on {socket}",
        );
    }
}

/// The one port of `ports`.
pub(super) fn port<'a>(table: &Reader<'a>, kind: Option<AppKind>) -> Option<Found<'a, u16>> {
    let ports = table.integers("ports", 1024, 65535)?;
    match ports.as_slice() {
        [port] => u16::try_from(port.value).ok().map(|number| port.with(number)),
        _ if kind != Some(AppKind::Custom) => None,
        _ => {
            table.wrong(
                "ports",
                "an app is reached at one port",
                "name exactly one: ports = [8501]",
            );
            None
        }
    }
}

/// `512MiB`, `8 GiB`.
pub(in crate::config::parts) fn bytes(found: &Found<'_, String>) -> Option<u64> {
    let text = found.value.trim();
    match size(text) {
        Some(bytes) if (MEMORY_LEAST..MEMORY_MOST).contains(&bytes) => Some(bytes),
        Some(_) => {
            found.wrong(format!("{text:?} cannot be a limit"), "give at least \"64MiB\"");
            None
        }
        None => {
            found.wrong(format!("{text:?} is not a size"), "write \"512MiB\" or \"8GiB\"");
            None
        }
    }
}

/// `512MiB` in bytes.
fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "MiB" => Some(MIB),
        "GiB" => Some(1024 * MIB),
        _ => None,
    };
    number.parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit))
}

pub(super) fn idle_stop(table: &Reader<'_>) -> Option<Duration> {
    let found = table.integer("idle_stop_minutes", 1, IDLE_MINUTES_MAX)?;
    u64::try_from(found.value).ok().map(|minutes| Duration::from_secs(minutes * 60))
}

/// Where a GET tells whether a custom app answers.
pub(super) fn health(found: &Found<'_, String>) -> Option<String> {
    let text = &found.value;
    let plain = |c: char| c.is_ascii_graphic() && c != '#';
    if text.starts_with('/') && text.chars().all(plain) && !Path::new(text).ends_with("..") {
        return Some(text.clone());
    }
    found.wrong(
        format!("{text:?} is not a path"),
        "write the path below the app's own, such as \"/\" or \"/healthz\"",
    );
    None
}

/// Keys that mean nothing for this kind.
pub(super) fn refuse_of_other_kinds(table: &Reader<'_>, kind: AppKind) {
    let of = [
        ("ports", AppKind::Custom, "custom"),
        ("prefix", AppKind::Custom, "custom"),
        ("health", AppKind::Custom, "custom"),
        ("server", AppKind::Jupyter, "jupyter"),
    ];
    for (key, only, word) in of {
        if kind != only && table.has(key) {
            let problem = format!("is a key of apps of kind {word:?}");
            table.wrong(key, problem, "remove it");
        }
    }
}
