//! What the supervision knows of the apps, as the proxy's table. Pure.

use station_proto::app::AppPhase;

use crate::apps::{Gets, Seen};
use crate::attend;
use crate::privileged::Kind;
use crate::proxy::{Entry, Prefix, State, Table, Target, Unavailable, Why};

/// The other name that JupyterLab's server answers to: its classic view.
const CLASSIC: &str = "jupyter";

/// The kinds of apps that have kernels.
const JUPYTERS: [&str; 2] = [Kind::JupyterLab.as_str(), Kind::Jupyter.as_str()];

pub(in crate::wiring) fn table(apps: &[Seen]) -> Table {
    let mut table: Table = apps.iter().map(|seen| (seen.name.to_string(), entry(seen))).collect();
    if let Some(lab) = apps.iter().find(|seen| seen.kind == "jupyterlab") {
        table.entry(CLASSIC.to_owned()).or_insert(view(&lab.prefix));
    }
    table
}

fn entry(seen: &Seen) -> Entry {
    if seen.shares.is_some() { view(&seen.prefix) } else { Entry::App(target(seen)) }
}

/// The classic view of the server that lives at `prefix`.
fn view(prefix: &str) -> Entry {
    let below = prefix.trim_end_matches('/').to_owned();
    Entry::Redirect { root: format!("{below}/tree"), below }
}

fn target(seen: &Seen) -> Target {
    Target {
        socket: seen.socket.clone(),
        peer_uid: seen.uid,
        prefix: match seen.gets {
            Gets::Whole => Prefix::Keep,
            Gets::Rest => Prefix::Strip,
        },
        channels: JUPYTERS
            .contains(&seen.kind)
            .then(|| seen.socket.with_file_name(attend::channels::SOCKET)),
        state: state(seen),
    }
}

fn state(seen: &Seen) -> State {
    match seen.phase {
        AppPhase::Ready => State::Ready,
        // An app that answers no probe may still answer; the request finds out.
        AppPhase::Degraded => State::Degraded(unavailable(seen)),
        AppPhase::Starting => State::Starting { message: seen.message.clone() },
        AppPhase::Stopped
        | AppPhase::Backoff
        | AppPhase::Failed
        | AppPhase::Stopping
        | AppPhase::Unavailable => State::Down(unavailable(seen)),
    }
}

fn unavailable(seen: &Seen) -> Unavailable {
    let phase = serde_json::to_value(seen.phase).unwrap_or_default();
    Unavailable {
        phase: phase.as_str().unwrap_or_default().to_owned(),
        message: seen.message.clone(),
        last_end: seen.last_end.as_ref().map(|cause| cause.message.clone()),
        lines: seen.last_end.as_ref().map(|cause| cause.last_lines.clone()).unwrap_or_default(),
        action: format!("`stationctl app restart {}`", seen.name),
        // The supervision decides whether a request may start it; asking costs nothing.
        on_demand: seen.on_demand,
        why: Why::NotRunning,
    }
}
