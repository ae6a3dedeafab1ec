//! Pure: answers of the API as text for a person.

pub(super) mod gpus;
pub(super) mod mounts;
pub(super) mod node;

use std::fmt::Write;
use std::time::Duration;

use station_proto::app::{App, AppActivity};
use station_proto::cause::Cause;
use station_proto::condition::Condition;
use station_proto::event::Event;
use station_proto::heartbeat::Heartbeat;
use station_proto::node::Samples;
use station_proto::time::Time;
use station_proto::token::Token;

use super::words::{ago, duration, gib, printable, word};
use crate::base::conditions::{Explained, Kind};

/// One screen on the whole machine.
pub(super) fn status(heartbeat: &Heartbeat) -> String {
    let Heartbeat { lease, status, samples } = heartbeat;
    let now = lease.at;
    let mut out = String::new();
    let ready = if status.ready { "you can work" } else { "not ready for work" };
    let (name, phase) = (printable(&status.name), word(status.phase));
    line(&mut out, format_args!("{name} is {phase} since {}: {ready}", ago(status.since, now)));
    let up = duration(Duration::from_millis(lease.uptime_ms));
    let instance = lease.instance_id.get(..8).unwrap_or(&lease.instance_id);
    let version = &status.version;
    if !status.public_url.is_empty() {
        line(&mut out, format_args!("{}   (`stationctl login` lets you in)", status.public_url));
    }
    line(&mut out, format_args!("stationd {version}, up {up}, instance {instance}"));
    out.push_str("\nAPPS\n");
    out.push_str(&apps(&status.apps, now));
    for mount in &status.mounts {
        let (name, message) = (mount.name.to_uppercase(), printable(&mount.message));
        line(&mut out, format_args!("\n{name}\n  {} ({message})", mount.path));
    }
    if !status.conditions.is_empty() {
        out.push_str("\nNEEDS ATTENTION\n");
        status.conditions.iter().for_each(|one| condition(&mut out, one, now));
    }
    out.push_str("\nMACHINE\n");
    if let Some(samples) = samples {
        machine(&mut out, samples);
    }
    out
}

fn condition(out: &mut String, one: &Condition, now: Time) {
    let subject = if one.subject.is_empty() { String::new() } else { format!(" {}", one.subject) };
    let (since, message) = (ago(one.since, now), printable(&one.message));
    line(out, format_args!("  {}{subject} for {since}: {message}", one.kind));
    if !one.action.is_empty() {
        line(out, format_args!("    → {}", one.action));
    }
}

fn machine(out: &mut String, samples: &Samples) {
    if let Some(cpu) = &samples.cpu {
        let load = samples.load.map(|[one, ..]| format!(", load {one:.2}")).unwrap_or_default();
        line(out, format_args!("  cpu     {} % of {} cores{load}", cpu.used_percent, cpu.cores));
    }
    if let Some(memory) = &samples.memory {
        let free = gib(memory.available_mib);
        line(out, format_args!("  memory  {free} available of {}", gib(memory.total_mib)));
    }
    let disks =
        samples.disks.iter().chain(samples.os_disk.iter().filter(|_| samples.disks.is_empty()));
    for disk in disks {
        let (free, all) = (gib(disk.available_mib), gib(disk.total_mib));
        line(out, format_args!("  disk    {free} available of {all} ({})", disk.path));
    }
}

/// What an app says that is ready and has nothing to add.
const RUNS: &str = "running";

/// Two lines for each app: what it is, and what is going on.
pub(super) fn apps(apps: &[App], now: Time) -> String {
    let mut out = String::new();
    if apps.is_empty() {
        out.push_str("  none\n");
    }
    for app in apps {
        let pid = app.pid.map(|pid| format!("   process {pid}")).unwrap_or_default();
        let kernels = app.kernels.map(|count| format!("   {}", kernels(count))).unwrap_or_default();
        let (name, phase, since) = (&app.name, word(app.phase), ago(app.since, now));
        let path = &app.path;
        line(&mut out, format_args!("  {name:<12} {phase} since {since}   {path}{pid}{kernels}"));
        // That it runs has been said; what limits it has not.
        if !app.message.is_empty() && app.message != RUNS {
            line(&mut out, format_args!("               {}", printable(&app.message)));
        }
    }
    out
}

/// Everything that is known of one app.
pub(super) fn app(app: &App, activity: &AppActivity, now: Time) -> String {
    let mut out = apps(std::slice::from_ref(app), now);
    if let Some(server) = &app.shares {
        line(&mut out, format_args!("  another view of the server of {server}"));
    }
    if let Some(end) = &app.last_end {
        line(&mut out, format_args!("\nLAST END\n  {}", cause(end, now)));
        end.last_lines
            .iter()
            .for_each(|text| line(&mut out, format_args!("  | {}", printable(text))));
    }
    if !app.kernel_ends.is_empty() {
        out.push_str("\nKERNELS THAT ENDED\n");
    }
    for end in app.kernel_ends.iter().rev() {
        let which = end.path.as_deref().unwrap_or(&end.kernel);
        line(&mut out, format_args!("  {}: {}", printable(which), cause(&end.cause, now)));
    }
    if !activity.sources.is_empty() {
        let state = word(activity.state);
        let since = activity.idle_since.map(|since| format!(" for {}", ago(since, now)));
        line(&mut out, format_args!("\nACTIVITY: {state}{}", since.unwrap_or_default()));
    }
    for source in &activity.sources {
        let (name, evidence) = (printable(&source.name), printable(&source.evidence));
        line(&mut out, format_args!("  {:<8} {name}: {evidence}", word(source.state)));
    }
    if let Some(at) = activity.stops_at {
        line(&mut out, format_args!("  stops at {at} if it stays idle"));
    }
    out
}

fn cause(cause: &Cause, now: Time) -> String {
    let action =
        if cause.action.is_empty() { String::new() } else { format!("\n    → {}", cause.action) };
    format!("{} ago: {}{action}", ago(cause.at, now), printable(&cause.message))
}

/// One line for each token.
pub(super) fn tokens(tokens: &[Token], now: Time) -> String {
    let mut out = String::new();
    if tokens.is_empty() {
        out.push_str(
            "  none; `stationctl login --token --app NAME` or `stationctl token create` makes one\n",
        );
    }
    for token in tokens {
        let Token { id, note, .. } = token;
        let scope = if token.app.is_empty() { token.actions.join(", ") } else { token.app.clone() };
        let scope = printable(&scope);
        let made = ago(token.created_at, now);
        let left = ago(now, token.expires_at);
        let used = token.last_used_at.map_or_else(
            || "never used".to_owned(),
            |used| format!("last used {} ago", ago(used, now)),
        );
        let note = printable(note);
        line(
            &mut out,
            format_args!(
                "  {id:>4}  {scope:<12} made {made} ago, expires in {left}, {used}   {note}"
            ),
        );
    }
    out
}

/// `1 kernel`, `3 kernels`
pub(super) fn kernels(count: u32) -> String {
    format!("{count} kernel{}", if count == 1 { "" } else { "s" })
}

/// `42  10:00:00  app.ready  jupyterlab  it answers`
pub(super) fn event(event: &Event) -> String {
    let (at, message) = (event.at, printable(&event.message));
    format!("{:>6}  {at}  {:<18} {:<12} {message}", event.seq, event.kind, event.subject)
}

/// A condition's meaning, or the list of all.
pub(super) fn explain(kind: Option<Kind>) -> String {
    let mut out = String::new();
    match kind {
        Some(kind) => {
            let Explained { name, meaning, remedy, degrades } = kind.explained();
            let effect = if *degrades { "degrades the phase" } else { "does not change the phase" };
            line(&mut out, format_args!("{name} ({effect})\n\n{meaning}\n\n→ {remedy}"));
        }
        None => {
            for kind in Kind::ALL {
                let Explained { name, meaning, .. } = kind.explained();
                let first = meaning.split_inclusive(". ").next().unwrap_or(meaning);
                line(&mut out, format_args!("{name:<18} {first}"));
            }
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    out.write_fmt(text).unwrap_or_default();
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_that_is_ready_has_to_add_is_shown() {
        let shown = |message: &str| {
            let app = serde_json::json!({
                "name": "lab", "kind": "jupyterlab", "phase": "ready", "path": "/apps/lab/lab",
                "since": "2026-01-01T00:00:00Z", "wanted": true, "generation": 1, "failures": 0,
                "message": message,
            });
            let app: App = serde_json::from_value(app).unwrap();
            apps(&[app], Time::from_ms(1_767_225_660_000).unwrap())
        };
        assert_eq!(shown("running").lines().count(), 1);
        assert!(shown("running; memory_max is not enforced").contains("not enforced"));
    }
}
