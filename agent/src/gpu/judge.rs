//! Pure: the verdicts.

use station_proto::condition::Truth;
use station_proto::gpu::{Gpu, GpuSummary, Gpus};
use station_proto::time::Time;

use super::Finding;
use super::state::{Noted, State, UNRESPONSIVE};
use super::stuck::Stuck;
use super::xid::Severity;
use crate::base::conditions::Kind;
use crate::base::moment::Moment;
use crate::probe::gpu::{Code, Reading, codes};

/// An Xid that an app caused is news for so long.
const RECENT_MS: i64 = 600_000;
/// Rounds in a row before a slow GPU is one.
const ROUNDS: u32 = 3;

/// What a finding about a GPU is named after.
pub(super) fn subject(summary: &GpuSummary) -> String {
    summary.uuid.clone().unwrap_or_else(|| summary.pci.clone())
}

fn finding(kind: Kind, subject: &str, reason: &'static str, message: String) -> Finding {
    let action = kind.explained().remedy.to_owned();
    Finding { kind, subject: subject.to_owned(), truth: Truth::True, reason, message, action }
}

pub(super) fn findings(state: &State, gpus: &Gpus, now: Moment) -> Vec<Finding> {
    let mut found = driver(state);
    found.extend(count(state));
    found.extend(state.sleeps.stuck(now).iter().map(stuck));
    found.extend(state.switches.iter().map(switch));
    for gpu in &gpus.gpus {
        let reading = state.round.as_ref().and_then(|(round, _)| {
            round.gpus.iter().find(|one| one.gpu.summary.pci == gpu.summary.pci)
        });
        found.extend(one(state, gpu, reading, now));
    }
    found
}

fn driver(state: &State) -> Vec<Finding> {
    let Some(files) = &state.files else { return Vec::new() };
    let mut found = Vec::new();
    if files.module.is_none() && !files.on_pci.is_empty() {
        let many = files.on_pci.len();
        let message = format!("{many} NVIDIA GPU(s) on the PCI bus, no driver loaded");
        found.push(finding(Kind::GpuDriverNotLoaded, "", "ModuleNotLoaded", message));
    }
    let module = files.module.as_deref().unwrap_or("unknown");
    if let Some(failed) = &state.failed {
        let (kind, reason, message) = match failed.code {
            codes::LIB_RM_VERSION_MISMATCH => (
                Kind::GpuDriverMismatch,
                "VersionsDiffer",
                format!(
                    "the loaded driver is {module}, the installed libraries are of another version"
                ),
            ),
            codes::LIBRARY_NOT_FOUND => (
                Kind::GpuDriverNotLoaded,
                "LibraryMissing",
                format!("the driver {module} is loaded, its library cannot be: {}", failed.why),
            ),
            codes::DRIVER_NOT_LOADED => (
                Kind::GpuDriverNotLoaded,
                "NotLoaded",
                format!("the module {module} is loaded, and the driver does not run"),
            ),
            code => (
                Kind::GpuDriverFailed,
                "InitialisationFailed",
                format!("{} failed with NVML code {code}", failed.call),
            ),
        };
        found.push(finding(kind, "", reason, message));
    }
    if let Some(pid) = state.stuck {
        let message = format!(
            "process {pid} hangs in the driver and cannot be ended; GPUs are not asked until it ends"
        );
        found.push(finding(Kind::GpuDriverUnresponsive, "", "ProcessStuck", message));
    } else if let Some(slow) = state.slow.as_ref().filter(|slow| slow.took >= UNRESPONSIVE) {
        let subject = slow.pci.as_ref().map(|pci| named(state, pci)).unwrap_or_default();
        let message = format!("{} has not returned for {} s", slow.call, slow.took.as_secs());
        found.push(finding(Kind::GpuDriverUnresponsive, &subject, "CallHangs", message));
    }
    for (pci, (_, call)) in &state.skipped {
        let message = format!("{call} did not return; this GPU is left alone for five minutes");
        found.push(finding(Kind::GpuDriverUnresponsive, &named(state, pci), "CallHung", message));
    }
    found
}

fn named(state: &State, pci: &str) -> String {
    let known = state.names.get(pci).and_then(|(uuid, _name)| uuid.clone());
    known.unwrap_or_else(|| pci.to_owned())
}

/// The bus, the driver and the configuration should have the same number.
fn count(state: &State) -> Option<Finding> {
    let files = state.files.as_ref()?;
    let on_pci = u32::try_from(files.on_pci.len()).ok()?;
    let listed = state.round.as_ref().and_then(|(round, _)| round.listed);
    // Without a driver none answers; while it is not known how many do, the bus still tells of those that
    // are missing.
    let answer = listed.or_else(|| files.module.is_none().then_some(0));
    let words = match answer {
        Some(answer) => format!("{on_pci} on the PCI bus, {answer} listed by the driver"),
        None => format!("{on_pci} on the PCI bus"),
    };
    if let Some(expected) = state.expected {
        let has = answer.map_or(on_pci.min(expected), |answer| answer);
        let message = format!("gpu.expected is {expected}: {words}");
        let say = |reason| Some(finding(Kind::GpuCountMismatch, "", reason, message.clone()));
        if has < expected {
            return say("FewerThanExpected");
        }
        if has > expected {
            let mut found = say("MoreThanExpected")?;
            "Write the right number into gpu.expected, or ask whoever gave out the machine."
                .clone_into(&mut found.action);
            return Some(found);
        }
    }
    let fewer = listed.is_some_and(|listed| listed < on_pci);
    fewer.then(|| finding(Kind::GpuCountMismatch, "", "FewerThanOnPci", words))
}

fn stuck(one: &Stuck) -> Finding {
    let Stuck { pid, command, user, since } = one;
    let message = format!(
        "{command} (process {pid} of {user}) has slept in the kernel since {}, where no signal reaches it",
        Time(since.wall)
    );
    finding(Kind::GpuProcessStuck, &pid.to_string(), "Uninterruptible", limited(&message))
}

/// It holds until the machine restarts: links through a switch that has failed stay down.
fn switch((pci, (code, count)): (&String, &(u16, u64))) -> Finding {
    let message = format!("NVSwitch {pci}: {count} fatal error(s), the last is SXid {code}");
    let mut found = finding(Kind::NvlinkDegraded, pci, "SwitchFailed", message);
    "Stop what uses several GPUs and restart the machine; if it comes again, tell the provider."
        .clone_into(&mut found.action);
    found
}

fn one(state: &State, gpu: &Gpu, reading: Option<&Reading>, now: Moment) -> Vec<Finding> {
    let pci = &gpu.summary.pci;
    let name = subject(&gpu.summary);
    let mut found = Vec::new();
    let mut say = |kind, reason, message: String| found.push(finding(kind, &name, reason, message));
    let codes_seen: Vec<Code> = reading
        .into_iter()
        .flat_map(|one| one.gpu.failed_calls.iter().map(|failed| failed.code).chain(one.closed))
        .collect();
    let on_pci = state.files.iter().flat_map(|files| &files.on_pci).find(|one| one.pci == *pci);
    if let Some(why) = lost(state, pci, &codes_seen, on_pci.map(|one| one.gone)) {
        say(Kind::GpuLost, "NotReachable", why);
    } else if codes_seen.contains(&codes::RESET_REQUIRED) {
        say(
            Kind::GpuNeedsReset,
            "ResetRequired",
            "the driver refuses calls until it is reset".into(),
        );
    } else if let Some(code) = reading.and_then(|one| one.closed) {
        say(Kind::GpuUnreadable, "NotOpened", format!("it cannot be opened: NVML code {code}"));
    } else if !codes_seen.is_empty() {
        let calls: Vec<String> = gpu
            .failed_calls
            .iter()
            .map(|failed| format!("{} ({})", failed.call, failed.code))
            .collect();
        say(
            Kind::GpuUnreadable,
            "CallsFail",
            limited(&format!("calls fail: {}", calls.join(", "))),
        );
    }
    recovery(gpu, &mut say);
    memory(gpu, &mut say);
    work(state, gpu, &mut say);
    links_and_modes(gpu, &mut say);
    let noted = state.xids.get(pci).map(Vec::as_slice).unwrap_or_default();
    found.extend(xids(noted, &name, now));
    found
}

/// Why it is taken for lost.
fn lost(state: &State, pci: &str, seen: &[Code], gone: Option<bool>) -> Option<String> {
    if gone == Some(true) {
        return Some("it has fallen off the PCI bus: its registers read as ones".to_owned());
    }
    if let Some(code) =
        seen.iter().find(|code| matches!(**code, codes::GPU_IS_LOST | codes::GPU_NOT_FOUND))
    {
        return Some(format!("the driver has lost it (NVML code {code})"));
    }
    if gone.is_none()
        && state.names.contains_key(pci)
        && state.files.as_ref().is_some_and(|files| !files.on_pci.is_empty())
    {
        return Some("it was there, and is not on the PCI bus any more".to_owned());
    }
    state
        .fallen
        .iter()
        .any(|fallen| fallen == pci)
        .then(|| "the driver reports that it has fallen off the bus".to_owned())
}

fn recovery(gpu: &Gpu, say: &mut impl FnMut(Kind, &'static str, String)) {
    let Some(action) = gpu.errors.recovery_action.as_deref() else { return };
    let kind = match action {
        "none" | "unknown" => return,
        "node_reboot" | "system_reboot" => Kind::GpuNeedsReboot,
        _ => Kind::GpuNeedsReset,
    };
    say(kind, "RecoveryAction", format!("the driver asks for {}", action.replace('_', " ")));
}

fn memory(gpu: &Gpu, say: &mut impl FnMut(Kind, &'static str, String)) {
    let errors = &gpu.errors;
    let kind = Kind::GpuMemoryDegraded;
    if errors.rows_failed == Some(true) {
        say(kind, "RowRemapFailed", "a bad row of its memory could not be replaced".into());
    } else if errors.rows_pending == Some(true) || errors.retirement_pending == Some(true) {
        say(kind, "RepairPending", "bad memory is replaced at the next reset".into());
    } else if errors.sram_threshold_exceeded == Some(true) {
        say(kind, "SramThreshold", "more errors of its internal memory than NVIDIA allows".into());
    } else if errors.volatile_uncorrected.is_some_and(|count| count > 0) {
        let count = errors.volatile_uncorrected.unwrap_or_default();
        say(
            kind,
            "UncorrectedErrors",
            format!("{count} uncorrected memory error(s) since the driver was loaded"),
        );
    } else if errors.banks_without_spares.is_some_and(|count| count > 0) {
        let count = errors.banks_without_spares.unwrap_or_default();
        say(kind, "NoSpareRows", format!("{count} bank(s) of its memory have no spare rows left"));
    }
}

fn work(state: &State, gpu: &Gpu, say: &mut impl FnMut(Kind, &'static str, String)) {
    let (braked, hot) = state.slowed.get(&gpu.summary.pci).copied().unwrap_or_default();
    if braked >= ROUNDS {
        say(
            Kind::GpuThrottled,
            "HardwareSlowdown",
            "its hardware has slowed it down for half a minute".into(),
        );
    }
    let heat = &gpu.heat;
    let near = heat.gpu_c.zip(heat.slowdown_c).filter(|(now, limit)| now >= limit);
    if hot >= ROUNDS {
        let degrees = heat.gpu_c.map(|c| format!(" at {c} °C")).unwrap_or_default();
        say(
            Kind::GpuThermal,
            "ThermalSlowdown",
            format!("it slows itself down because of heat{degrees}"),
        );
    } else if let Some((now, limit)) = near {
        say(Kind::GpuThermal, "TooHot", format!("{now} °C, and it slows down at {limit} °C"));
    }
}

fn links_and_modes(gpu: &Gpu, say: &mut impl FnMut(Kind, &'static str, String)) {
    let links = &gpu.links;
    if let (Some(now), Some(most)) = (links.pcie_width, links.pcie_width_max)
        && now < most
    {
        say(Kind::GpuPcieDegraded, "FewerLanes", format!("{now} of {most} PCIe lanes are in use"));
    } else if let Some(count) = links.pcie_fatal.filter(|count| *count > 0) {
        say(Kind::GpuPcieDegraded, "FatalErrors", format!("{count} fatal PCIe error(s)"));
    }
    let down: Vec<String> = links
        .nvlinks
        .iter()
        .filter(|link| link.active == Some(false))
        .map(|link| link.link.to_string())
        .collect();
    // A GPU whose links are all off is not linked at all.
    if !down.is_empty() && down.len() < links.nvlinks.len() {
        say(Kind::NvlinkDegraded, "LinksDown", format!("links that are down: {}", down.join(", ")));
    }
    if let Some(fabric) = links.fabric.as_deref() {
        let joined = links.fabric_status.unwrap_or_default() == 0;
        if fabric != "completed" || !joined {
            let status = links.fabric_status.unwrap_or_default();
            let message =
                format!("joining the fabric: {}, NVML code {status}", fabric.replace('_', " "));
            say(Kind::GpuFabricNotReady, "NotJoined", message);
        }
    }
    let modes = &gpu.modes;
    if modes.persistence == Some(false) {
        say(Kind::GpuPersistenceOff, "Off", "persistence mode is off".into());
    }
    if let (Some(now), Some(pending)) = (modes.mig, modes.mig_pending)
        && now != pending
    {
        let word = |on: bool| if on { "on" } else { "off" };
        say(
            Kind::GpuMigPending,
            "AfterReset",
            format!("MIG is {}, and {} after a reset", word(now), word(pending)),
        );
    }
}

/// Xids that say something of the hardware hold until the restart; the others fade.
fn xids(noted: &[Noted], name: &str, now: Moment) -> Option<Finding> {
    let now_ms = station_proto::time::Time(now.wall).as_ms();
    let severity = |one: &Noted| one.verdict.map_or(Severity::Warning, |xid| xid.severity);
    let counts = noted.iter().filter(|one| {
        let recent = now_ms.saturating_sub(one.shown.last.as_ms()) < RECENT_MS;
        let holds = one.verdict.is_some_and(|xid| xid.sticky);
        severity(one) > Severity::Info && (holds || recent)
    });
    let worst = &counts.max_by_key(|one| (severity(one), one.shown.last))?.shown;
    let by = worst.process.as_ref().zip(worst.pid);
    let by = by.map(|(process, pid)| format!(", by {process} ({pid})")).unwrap_or_default();
    let times = if worst.count > 1 { format!(", {} times", worst.count) } else { String::new() };
    let message = limited(&format!("Xid {}{times}{by}: {}", worst.code, worst.meaning));
    let mut found = finding(Kind::GpuXid, name, "Reported", message);
    if !worst.action.is_empty() {
        found.action.clone_from(&worst.action);
    }
    Some(found)
}

/// Messages stay short.
fn limited(text: &str) -> String {
    const MOST: usize = 256;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
