//! Pure: the marks at which a figure is a condition, and what is wrong in words.

mod marks;

use station_proto::condition::Truth;

use super::Finding;
use super::kernel::Victim;
use super::state::clock::Known;
use super::state::kills::{Recent, Told};
use super::state::{State, is_read_only};
use crate::base::conditions::Kind;
use crate::base::moment::Moment;
use crate::probe::host::walk::By;
use crate::probe::host::{Reboot, Units};

pub(super) use self::marks::{agent, cpu, io, memory};

/// A machine that has just been started may still look for a time server.
const CLOCK_PATIENCE_S: u64 = 300;
/// Names that a message lists.
const NAMES: usize = 5;

fn finding(kind: Kind, subject: &str, reason: &'static str, message: String) -> Finding {
    let action = kind.explained().remedy.to_owned();
    Finding { kind, subject: subject.to_owned(), truth: Truth::True, reason, message, action }
}

pub(super) fn findings(state: &State, now: Moment) -> Vec<Finding> {
    let mut found = held(state);
    found.extend(state.kills.recent(now).map(|recent| kills(&recent)));
    found.extend(disks(state));
    found.extend(errors(state));
    found.extend(clock(state, now));
    found.extend(system(state));
    found.extend(toolkits(state));
    found
}

fn held(state: &State) -> Vec<Finding> {
    let of = [
        (Kind::MemoryPressure, &state.memory),
        (Kind::CpuPressure, &state.cpu),
        (Kind::IoPressure, &state.io),
        (Kind::AgentSlow, &state.agent),
    ];
    let said = of.into_iter().filter_map(|(kind, held)| Some((kind, held.0.as_ref()?)));
    said.map(|(kind, (reason, message))| finding(kind, "", reason, message.clone())).collect()
}

fn kills(recent: &Recent) -> Finding {
    let many = match recent.count {
        1 => "1 process".to_owned(),
        many => format!("{many} processes"),
    };
    let mut parts = vec![format!("{many} ended by the kernel within the last hour")];
    parts.extend(recent.last.as_ref().map(last_kill));
    if recent.untold > 0 {
        let untold = recent.untold;
        parts.push(format!("of {untold} the kernel's counter tells and its log does not"));
    }
    if recent.lost > 0 {
        parts.push(format!("{} lines of the log were lost", recent.lost));
    }
    let reason = if recent.last.is_some() { "ProcessKilled" } else { "Counted" };
    finding(Kind::OutOfMemoryKills, "", reason, parts.join("; "))
}

fn last_kill(last: &Told) -> String {
    let Victim { pid, name, resident_mib, by_limit } = &last.victim;
    let size = resident_mib.map(|mib| format!(", {mib} MiB")).unwrap_or_default();
    let place = last.place.as_deref().map(|place| format!(" in {place}")).unwrap_or_default();
    let why = if *by_limit { "its limit was reached" } else { "the machine had no memory left" };
    format!("the last: {name} (pid {pid}{size}){place} at {:.0}, because {why}", last.at.wall)
}

fn disks(state: &State) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in state.disks.pressed() {
        let path = one.path.display().to_string();
        let (reason, what) = match one.by {
            By::Bytes => {
                let gib = |bytes: u64| {
                    format!("{}.{} GiB", bytes >> 30, ((bytes >> 20) % 1024) * 10 / 1024)
                };
                (
                    "SpaceLow",
                    format!("{} % of {} is left ({})", one.percent, gib(one.total), gib(one.bytes)),
                )
            }
            By::Entries => ("InodesLow", format!("{} % of the inodes are left", one.percent)),
        };
        let largest = if one.largest.is_empty() {
            String::new()
        } else {
            format!("; the largest folders: {}", one.largest.join(", "))
        };
        found.push(finding(Kind::DiskPressure, &path, reason, what + &largest));
    }
    let says = |device: &str| {
        let of = |known: &str| !known.is_empty() && device.ends_with(&format!("/{known}"));
        state.errors.iter().any(|one| is_read_only(&one.message) && of(&one.device))
    };
    for mounted in state.disks.read_only(|mounted| says(&mounted.source)) {
        let path = mounted.at.display().to_string();
        let message = format!("{} ({}) takes no writes", mounted.source, mounted.kind);
        found.push(finding(Kind::ReadOnlyFilesystem, &path, "MountedReadOnly", message));
    }
    for path in state.disks.silent() {
        let message = "its file system gave no answer within five seconds".to_owned();
        found.push(finding(Kind::ProbeSilent, &path.display().to_string(), "DiskSilent", message));
    }
    found
}

fn errors(state: &State) -> Vec<Finding> {
    let one = |error: &super::state::Errors| {
        let reason =
            if is_read_only(&error.message) { "RemountedReadOnly" } else { "KernelReports" };
        let message = format!("the kernel reports: {}", error.message);
        finding(Kind::FilesystemErrors, &error.device, reason, message)
    };
    state.errors.iter().map(one).collect()
}

fn clock(state: &State, now: Moment) -> Vec<Finding> {
    let mut found = Vec::new();
    let kind = Kind::ClockUnsynchronized;
    match state.clock.known {
        Known::Kept(kept) if kept.is_lost() => {
            if now.mono.as_secs() >= CLOCK_PATIENCE_S {
                let message = "no time server keeps the clock, by the kernel's own estimate";
                found.push(finding(kind, "", "NotKept", message.to_owned()));
            }
        }
        Known::Denied => {
            let message = "the kernel may not be asked, as in some containers".to_owned();
            let unknown = finding(kind, "", "NotPermitted", message);
            found.push(Finding { truth: Truth::Unknown, ..unknown });
        }
        Known::Kept(_) | Known::NotYet => {}
    }
    if let Some(by) = state.clock.jumped(now) {
        let seconds = by.unsigned_abs() / 1000;
        let way = if by > 0 { "forward" } else { "back" };
        let message = format!("it jumped {way} by {seconds} s");
        found.push(finding(Kind::ClockJumped, "", "Stepped", message));
    }
    found
}

/// The first few, and how many more.
fn listed(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMES).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(", ") + &more
}

fn system(state: &State) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(Units::Failed(names)) = &state.units
        && !names.is_empty()
    {
        found.push(finding(Kind::UnitsFailed, "", "Failed", format!("failed: {}", listed(names))));
    }
    match &state.reboot {
        Some(Reboot::Packages(names)) => {
            let of = if names.is_empty() { "a package".to_owned() } else { listed(names) };
            let message = format!("{of} asked for a restart");
            found.push(finding(Kind::RebootRequired, "", "Packages", message));
        }
        Some(Reboot::Kernel { running, installed }) => {
            let message = format!(
                "the modules of the running kernel {running} were removed; {installed} is installed"
            );
            found.push(finding(Kind::RebootRequired, "", "KernelReplaced", message));
        }
        None => {}
    }
    if let Some((reason, message)) = state.network.fault() {
        found.push(finding(Kind::NetworkDown, "", reason, message.clone()));
    }
    found
}

/// Toolkits of a newer major version than the driver serves: CUDA minor version compatibility holds
/// within one major version only
/// (<https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html>). One that
/// brings NVIDIA's forward compatibility libraries may work.
fn toolkits(state: &State) -> Option<Finding> {
    let driver = state.driver_cuda.as_ref()?;
    let major = |version: &str| version.split('.').next()?.parse::<u32>().ok();
    let serves = major(driver)?;
    let newer = |version: &str| major(version).is_some_and(|major| major > serves);
    let found = state.cuda.iter().flat_map(|cuda| &cuda.toolkits);
    let names: Vec<String> = found
        .filter(|one| newer(&one.version) && !one.forward_compatible)
        .map(|one| format!("CUDA {} in {}", one.version, one.path))
        .collect();
    let message = format!("the driver serves CUDA up to {driver}, and there is {}", listed(&names));
    let kind = Kind::CudaToolkitIncompatible;
    (!names.is_empty()).then(|| finding(kind, "", "ToolkitNewerThanDriver", message))
}

#[cfg(test)]
mod tests;
