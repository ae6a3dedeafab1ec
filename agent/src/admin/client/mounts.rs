//! `stationctl mount`: shares, what is pending on them, taking one up anew and giving it up.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use http::Method;
use station_proto::mount::{DrainOutcome, Mount, MountDetail};
use station_proto::time::Time;

use super::args::MountVerb;
use super::screen::mounts as screen;
use super::verbs::{Printer, get, print_json, text};
use super::{ClientError, Connection};
use crate::os::clock;
use crate::os::machine::mount::table;

/// How long one question waits; what is left then is shown, and asked again.
const STEP: Duration = Duration::from_secs(5);

pub(super) async fn run(
    station: &Connection,
    verb: &MountVerb,
    printer: &Printer,
) -> Result<(), ClientError> {
    match verb {
        MountVerb::List => {
            let mounts: Vec<Mount> = get(station, "/v1/mounts").await?;
            if printer.json {
                return print_json(&mounts);
            }
            text(&screen::list(&mounts, Time(clock::now().wall)))
        }
        MountVerb::Show { name } => {
            let detail: MountDetail = get(station, &format!("/v1/mounts/{name}")).await?;
            if printer.json {
                return print_json(&detail);
            }
            text(&screen::detail(&detail, Time(clock::now().wall)))
        }
        MountVerb::Remount { name } => {
            let path = format!("/v1/mounts/{name}/remount");
            station.bytes(Method::POST, &path, None).await?;
            let detail: MountDetail = get(station, &format!("/v1/mounts/{name}")).await?;
            if printer.json {
                return print_json(&detail);
            }
            text(&screen::list(&[detail.mount], Time(clock::now().wall)))
        }
        MountVerb::Drain { name, limit } => {
            drain(station, name.as_str(), Duration::from_secs(*limit), printer).await
        }
    }
}

/// Everything that is known of every share, and what lies at its place as this user sees it.
pub(super) async fn doctor(station: &Connection, printer: &Printer) -> Result<(), ClientError> {
    let mounts: Vec<Mount> = get(station, "/v1/mounts").await?;
    let mut details: Vec<MountDetail> = Vec::new();
    for mount in &mounts {
        details.push(get(station, &format!("/v1/mounts/{}", mount.name)).await?);
    }
    if printer.json {
        return print_json(&details);
    }
    let table = table::read().unwrap_or_default();
    let now = Time(clock::now().wall);
    let shown = |detail: &MountDetail| {
        let layers = table::stack(&table, Path::new(&detail.mount.path));
        let layers = layers.iter().map(|one| (one.kind.as_str(), one.source.as_str()));
        screen::detail(detail, now) + &screen::layers(&layers.collect::<Vec<_>>())
    };
    text(&details.iter().map(shown).collect::<Vec<String>>().join("\n"))
}

async fn drain(
    station: &Connection,
    name: &str,
    limit: Duration,
    printer: &Printer,
) -> Result<(), ClientError> {
    let begun = clock::since_boot();
    let tells = std::io::stderr().is_terminal() && !printer.json;
    loop {
        let left = limit.saturating_sub(clock::since_boot().saturating_sub(begun));
        let step = left.min(STEP).as_secs();
        let path = format!("/v1/mounts/{name}/drain?limit={step}");
        let outcome: DrainOutcome = station.json(Method::POST, &path, None).await?;
        if !outcome.unmounted && left > STEP {
            if tells {
                printer.note(&screen::pending(&outcome.pending));
            }
            continue;
        }
        if printer.json {
            print_json(&outcome)?;
        }
        return match outcome.stopped_by {
            None if printer.json => Ok(()),
            None => text(&format!("{name} is unmounted, and everything is at the share\n")),
            Some(why) => {
                let files = screen::files(&outcome.pending_files);
                Err(ClientError::Unknown(format!("{why}\n{files}it goes on by itself")))
            }
        };
    }
}
