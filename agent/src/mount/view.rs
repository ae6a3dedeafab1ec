//! Pure: a share as the API and the heartbeat show it.

use station_proto::mount::{Mount, MountDetail, MountPhase, MountSample};
use station_proto::time::Time;

use super::Seen;
use crate::base::conditions::Kind;
use crate::warden::files::{Told, Trouble};

/// Something that is wrong with a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub share: String,
    pub reason: &'static str,
    pub message: String,
    pub action: String,
}

/// What the status says.
pub fn mount(seen: &Seen) -> Mount {
    let place = seen.place.display().to_string();
    let unknown = Mount::unknown(seen.name.as_str(), seen.driver, place);
    let Some(line) = &seen.line else {
        let message = seen.silent.clone().unwrap_or(unknown.message);
        return Mount { message, ..unknown };
    };
    Mount {
        ready: line.ready,
        message: line.message.clone(),
        phase: line.phase,
        generation: line.generation,
        since: Time::from_ms(line.since),
        heals: line.heals,
        last_loss: line.last_loss.clone(),
        ..unknown
    }
}

/// The figures.
pub fn sample(seen: &Seen) -> MountSample {
    let unknown = || MountSample { name: seen.name.to_string(), ..MountSample::default() };
    seen.line.as_ref().map_or_else(unknown, |line| line.sample.clone())
}

pub fn detail(seen: &Seen) -> MountDetail {
    let pending_files = seen.line.as_ref().map(|line| line.pending_files.clone());
    MountDetail {
        mount: mount(seen),
        sample: sample(seen),
        pending_files: pending_files.unwrap_or_default(),
    }
}

/// What is wrong with a share, in the words of conditions.
pub fn findings(seen: &Seen) -> Vec<Finding> {
    let share = seen.name.to_string();
    let mut found = Vec::new();
    let mut add = |kind: Kind, reason, message: String, action: String| {
        found.push(Finding { kind, share: share.clone(), reason, message, action });
    };
    let remedy = |kind: Kind| kind.explained().remedy.replace("NAME", &share);
    if let Some(why) = &seen.silent {
        let kind = Kind::MountUnavailable;
        add(kind, "NoWarden", format!("{share} is not held by anybody: {why}"), remedy(kind));
    }
    let Some(line) = &seen.line else { return found };
    for told in &line.troubles {
        if let Some((kind, reason)) = kind(told) {
            add(kind, reason, told.message.clone(), told.action.clone());
        }
    }
    if line.phase == MountPhase::Unmounted {
        let kind = Kind::MountUnavailable;
        let message = format!("{share} was unmounted on purpose");
        add(kind, "Drained", message, format!("stationctl mount remount {share}"));
    }
    if seen.outdated {
        let kind = Kind::MountOutdated;
        let message = format!("{share} is mounted as an older configuration says");
        add(kind, "ConfigChanged", message, remedy(kind));
    }
    if !line.sample.stranded.is_empty() {
        let kind = Kind::ProcessesStranded;
        let first = line.sample.stranded.first();
        let first = first.map(|one| format!("{} ({})", one.pid, one.command)).unwrap_or_default();
        let count = line.sample.stranded.len();
        let message = format!(
            "{count} processes work in a folder of {share} that was there before it was lost, the first \
             is {first}"
        );
        add(kind, "OldFolder", message, remedy(kind));
    }
    found
}

fn kind(told: &Told) -> Option<(Kind, &'static str)> {
    Some(match told.trouble {
        Trouble::CannotMount => (Kind::MountUnavailable, "CannotMount"),
        Trouble::Lost => (Kind::MountLost, "Healing"),
        Trouble::Unreachable => (Kind::ShareUnreachable, "NoAnswer"),
        Trouble::Denied => (Kind::ShareDenied, "CredentialRefused"),
        Trouble::Covered => (Kind::MountCovered, "OtherMount"),
        Trouble::CacheFull => (Kind::MountCacheFull, "NoSpace"),
        Trouble::UploadsStuck => (Kind::UploadsStuck, "NotAtTheShare"),
        Trouble::DrainBlocked => (Kind::DrainBlocked, "NotUnmounted"),
        Trouble::Other => return None,
    })
}
