//! Pure: answers of the API as text for a person.

use std::fmt::Write;

use station_proto::app::App;
use station_proto::condition::Condition;
use station_proto::event::Event;
use station_proto::heartbeat::Heartbeat;
use station_proto::node::Samples;
use station_proto::time::Time;

use super::words::{ago, duration, gib, printable, word};
use crate::base::conditions::{Explained, Kind};

/// One screen on the whole machine.
pub(super) fn status(heartbeat: &Heartbeat) -> String {
    let Heartbeat { lease, status, samples } = heartbeat;
    let now = lease.at;
    let mut out = String::new();
    let ready = if status.ready { "you can work" } else { "not ready for work" };
    line(
        &mut out,
        format_args!(
            "{}: {} since {}, {ready}",
            printable(&status.name),
            word(status.phase),
            ago(status.since, now)
        ),
    );
    let up = std::time::Duration::from_millis(lease.uptime_ms);
    line(
        &mut out,
        format_args!(
            "stationd {} at {}, up {}, instance {}",
            status.version,
            status.public_url,
            duration(up),
            lease.instance_id.get(..8).unwrap_or(&lease.instance_id)
        ),
    );
    out.push('\n');
    out.push_str(&apps(&status.apps, now));
    for mount in &status.mounts {
        let (name, path, message) = (&mount.name, &mount.path, printable(&mount.message));
        line(&mut out, format_args!("  {name:<12} {:<11} {path}  {message}", mount.driver));
    }
    if !status.conditions.is_empty() {
        out.push('\n');
        status.conditions.iter().for_each(|one| condition(&mut out, one, now));
    }
    out.push('\n');
    machine(&mut out, samples);
    out
}

fn condition(out: &mut String, one: &Condition, now: Time) {
    let subject = if one.subject.is_empty() { String::new() } else { format!(" {}", one.subject) };
    let (since, message) = (ago(one.since, now), printable(&one.message));
    line(out, format_args!("! {}{subject} for {since}: {message}", one.kind));
    if !one.action.is_empty() {
        line(out, format_args!("  → {}", one.action));
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
    if let Some(disk) = &samples.os_disk {
        let (free, all) = (gib(disk.available_mib), gib(disk.total_mib));
        line(out, format_args!("  disk    {free} available of {all} ({})", disk.path));
    }
}

/// A line for each app, and two more for one that is in trouble.
pub(super) fn apps(apps: &[App], now: Time) -> String {
    let mut out = String::new();
    for app in apps {
        let pid = app.pid.map(|pid| format!("  pid {pid}")).unwrap_or_default();
        line(
            &mut out,
            format_args!(
                "  {:<12} {:<11} since {:<7} {}{pid}",
                app.name,
                word(app.phase),
                ago(app.since, now),
                app.path
            ),
        );
        if !app.message.is_empty() {
            line(&mut out, format_args!("               {}", printable(&app.message)));
        }
    }
    out
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
