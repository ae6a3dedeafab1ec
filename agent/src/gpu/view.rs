//! Pure: what is known becomes what is shown.

use station_proto::gpu::{DriverState, Gpu, GpuDriver, GpuHealth, GpuSummary, Gpus};
use station_proto::time::Time;

use super::state::{Phase, State, UNRESPONSIVE};
use super::{Finding, Seen, judge};
use crate::base::conditions::Kind;
use crate::base::moment::Moment;
use crate::probe::gpu::codes;

/// A round that is older says nothing of now.
const FRESH: std::time::Duration = super::EVERY.saturating_mul(2).saturating_add(UNRESPONSIVE);

pub(super) fn seen(state: &State, now: Moment) -> Seen {
    let fresh = state.round.as_ref().filter(|(_, at)| now.since(*at) <= FRESH);
    let mut gpus: Vec<Gpu> = fresh
        .map(|(round, _)| round.gpus.iter().map(|reading| reading.gpu.clone()).collect())
        .unwrap_or_default();
    let files = state.files.clone().unwrap_or_default();
    // Whoever is on the bus or was read once is listed, whether it answers or not.
    let places = files.on_pci.iter().map(|one| &one.pci).chain(state.names.keys());
    for pci in places {
        if gpus.iter().all(|gpu| gpu.summary.pci != *pci) {
            let (uuid, name) = state.names.get(pci).cloned().unwrap_or_default();
            let summary = GpuSummary { uuid, name, pci: pci.clone(), ..GpuSummary::default() };
            gpus.push(Gpu { summary, ..Gpu::default() });
        }
    }
    gpus.sort_by(|a, b| a.summary.pci.cmp(&b.summary.pci));
    for gpu in &mut gpus {
        let noted = state.xids.get(&gpu.summary.pci);
        gpu.xids = noted.into_iter().flatten().map(|one| one.shown.clone()).collect();
    }
    let driver = driver(state, &gpus, fresh.is_some(), now);
    let mut seen = Seen {
        gpus: Gpus { driver, at: fresh.map(|(_, at)| Time(at.wall)), gpus },
        findings: Vec::new(),
    };
    seen.findings = judge::findings(state, &seen.gpus, now);
    for gpu in &mut seen.gpus.gpus {
        gpu.summary.health = health(gpu, fresh.is_some(), state, &seen.findings);
    }
    seen
}

/// Our own process that hangs, and those of others.
fn stuck_pids(state: &State, now: Moment) -> Vec<i32> {
    let others = state.sleeps.stuck(now).into_iter().map(|one| one.pid);
    let mut pids: Vec<i32> = state.stuck.into_iter().chain(others).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn driver(state: &State, gpus: &[Gpu], fresh: bool, now: Moment) -> GpuDriver {
    let files = state.files.clone().unwrap_or_default();
    let none = files.on_pci.is_empty() && files.module.is_none() && gpus.is_empty();
    let slow = state.slow.as_ref().is_some_and(|slow| slow.took >= UNRESPONSIVE);
    let failed = state.failed.as_ref().map(|failed| failed.code);
    let driver_state = match (state.files.is_some(), failed) {
        (false, _) => DriverState::Unknown,
        _ if none => DriverState::Absent,
        _ if files.module.is_none() => DriverState::NotLoaded,
        _ if slow || state.stuck.is_some() => DriverState::Unresponsive,
        (_, Some(codes::LIB_RM_VERSION_MISMATCH)) => DriverState::Mismatch,
        (_, Some(codes::LIBRARY_NOT_FOUND)) => DriverState::NoLibrary,
        (_, Some(codes::DRIVER_NOT_LOADED)) => DriverState::NotLoaded,
        (_, Some(_)) => DriverState::Failed,
        _ if fresh => DriverState::Ready,
        _ => DriverState::Unknown,
    };
    let listed = state.round.as_ref().filter(|_round| fresh).and_then(|(round, _)| round.listed);
    GpuDriver {
        state: driver_state,
        kernel_version: files.module,
        library_version: state.versions.library.clone(),
        cuda_version: state.versions.cuda.clone(),
        on_pci: u32::try_from(files.on_pci.len()).unwrap_or(u32::MAX),
        listed,
        stuck_pids: stuck_pids(state, now),
    }
}

/// The worst of what is said of it.
fn health(gpu: &Gpu, fresh: bool, state: &State, findings: &[Finding]) -> GpuHealth {
    let summary = &gpu.summary;
    let subject = judge::subject(summary);
    let of_it = || findings.iter().filter(|finding| finding.subject == subject);
    let failed = [Kind::GpuLost, Kind::GpuNeedsReset, Kind::GpuNeedsReboot];
    if of_it().any(|finding| failed.contains(&finding.kind)) {
        return GpuHealth::Failed;
    }
    let asked = state.round.as_ref().filter(|_round| fresh).is_some_and(|(round, _)| {
        round.gpus.iter().any(|one| one.gpu.summary.pci == summary.pci && one.closed.is_none())
    });
    if !asked || state.phase == Phase::Off {
        return GpuHealth::Unknown;
    }
    let remarks = [Kind::GpuPersistenceOff, Kind::GpuMigPending];
    let degraded = of_it().any(|finding| !remarks.contains(&finding.kind));
    if degraded { GpuHealth::Degraded } else { GpuHealth::Healthy }
}
