//! One situation a row, from values as a real H100 gave them.

use serde_json::{Value, json};
use station_proto::gpu::GpuHealth;

use super::*;
use crate::gpu::files::{Files, OnPci};
use crate::gpu::state::{Event, Failed};
use crate::gpu::view;
use crate::gpu::xid::line::Line;
use crate::probe::gpu::{Round, Said};

const PCI: &str = "0000:00:06.0";

/// What an idle H100 said (driver 580.159.04), in short.
fn h100() -> Value {
    json!({
        "pci": PCI, "uuid": "GPU-1", "name": "NVIDIA H100 80GB HBM3", "index": 0,
        "health": "unknown", "model": {}, "load": { "gpu_percent": 0 },
        "memory": { "total_mib": 81559, "used_mib": 0 },
        "heat": { "gpu_c": 37, "memory_c": 43, "margin_c": 51, "slowdown_c": 89, "power_mw": 70000 },
        "clocks": { "reasons": ["gpu_idle"] },
        "errors": {
            "ecc": true, "volatile_corrected": 0, "volatile_uncorrected": 0,
            "rows_corrected": 0, "rows_pending": false, "rows_failed": false,
            "banks_without_spares": 0, "recovery_action": "none"
        },
        "links": { "pcie_width": 16, "pcie_width_max": 16, "pcie_fatal": 0 },
        "modes": { "persistence": true, "mig": false, "mig_pending": false },
        "processes": []
    })
}

fn state(gpu: Value, closed: Option<Code>, rounds: u64) -> State {
    let mut state = State::default();
    let on_pci = vec![OnPci { pci: PCI.to_owned(), gone: false }];
    let files = Files { on_pci, module: Some("580.159.04".to_owned()) };
    state.step(Moment::at_ms(0), Event::Files(files));
    let reading = Reading { gpu: serde_json::from_value(gpu).unwrap(), closed };
    for number in 0..rounds {
        let round = Round { listed: Some(1), gpus: vec![reading.clone()], took_us: 1 };
        state.step(Moment::at_ms(number * 10_000), Event::Said(Said::Round(round)));
    }
    state
}

/// The kinds and reasons found, and the health.
fn judged(state: &State) -> (Vec<(Kind, &'static str)>, GpuHealth) {
    let seen = view::seen(state, Moment::at_ms(20_000));
    let kinds = seen.findings.iter().map(|found| (found.kind, found.reason)).collect();
    (kinds, seen.gpus.gpus.first().map(|gpu| gpu.summary.health).unwrap_or_default())
}

#[test]
fn a_healthy_gpu_has_no_findings() {
    assert_eq!(judged(&state(h100(), None, 3)), (vec![], GpuHealth::Healthy));
}

type Fault = (&'static str, Kind, &'static str, GpuHealth);

#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    (r#"{"failed_calls":[{"call":"nvmlDeviceGetTemperature","code":15}]}"#, Kind::GpuLost, "NotReachable", GpuHealth::Failed),
    (r#"{"failed_calls":[{"call":"nvmlDeviceGetTemperature","code":28}]}"#, Kind::GpuLost, "NotReachable", GpuHealth::Failed),
    (r#"{"failed_calls":[{"call":"nvmlDeviceGetTemperature","code":16}]}"#, Kind::GpuNeedsReset, "ResetRequired", GpuHealth::Failed),
    (r#"{"failed_calls":[{"call":"nvmlDeviceGetTemperature","code":999}]}"#, Kind::GpuUnreadable, "CallsFail", GpuHealth::Degraded),
    (r#"{"errors":{"recovery_action":"gpu_reset"}}"#, Kind::GpuNeedsReset, "RecoveryAction", GpuHealth::Failed),
    (r#"{"errors":{"recovery_action":"node_reboot"}}"#, Kind::GpuNeedsReboot, "RecoveryAction", GpuHealth::Failed),
    (r#"{"errors":{"rows_failed":true}}"#, Kind::GpuMemoryDegraded, "RowRemapFailed", GpuHealth::Degraded),
    (r#"{"errors":{"rows_pending":true}}"#, Kind::GpuMemoryDegraded, "RepairPending", GpuHealth::Degraded),
    (r#"{"errors":{"retirement_pending":true}}"#, Kind::GpuMemoryDegraded, "RepairPending", GpuHealth::Degraded),
    (r#"{"errors":{"volatile_uncorrected":2}}"#, Kind::GpuMemoryDegraded, "UncorrectedErrors", GpuHealth::Degraded),
    (r#"{"errors":{"sram_threshold_exceeded":true}}"#, Kind::GpuMemoryDegraded, "SramThreshold", GpuHealth::Degraded),
    (r#"{"errors":{"banks_without_spares":1}}"#, Kind::GpuMemoryDegraded, "NoSpareRows", GpuHealth::Degraded),
    (r#"{"clocks":{"reasons":["hw_power_brake_slowdown"]}}"#, Kind::GpuThrottled, "HardwareSlowdown", GpuHealth::Degraded),
    (r#"{"clocks":{"reasons":["sw_thermal_slowdown"]}}"#, Kind::GpuThermal, "ThermalSlowdown", GpuHealth::Degraded),
    (r#"{"heat":{"gpu_c":90,"slowdown_c":89}}"#, Kind::GpuThermal, "TooHot", GpuHealth::Degraded),
    (r#"{"links":{"pcie_width":8,"pcie_width_max":16}}"#, Kind::GpuPcieDegraded, "FewerLanes", GpuHealth::Degraded),
    (r#"{"links":{"pcie_fatal":1}}"#, Kind::GpuPcieDegraded, "FatalErrors", GpuHealth::Degraded),
    (r#"{"links":{"nvlinks":[{"link":0,"active":true},{"link":1,"active":false}]}}"#, Kind::NvlinkDegraded, "LinksDown", GpuHealth::Degraded),
    (r#"{"links":{"fabric":"in_progress"}}"#, Kind::GpuFabricNotReady, "NotJoined", GpuHealth::Degraded),
    (r#"{"links":{"fabric":"completed","fabric_status":999}}"#, Kind::GpuFabricNotReady, "NotJoined", GpuHealth::Degraded),
    (r#"{"modes":{"persistence":false}}"#, Kind::GpuPersistenceOff, "Off", GpuHealth::Healthy),
    (r#"{"modes":{"mig":false,"mig_pending":true}}"#, Kind::GpuMigPending, "AfterReset", GpuHealth::Healthy),
];

#[test]
fn each_fault_has_its_condition() {
    for (change, kind, reason, health) in FAULTS {
        let gpu = changed(change);
        assert_eq!(judged(&state(gpu, None, 3)), (vec![(*kind, *reason)], *health), "{change}");
    }
}

/// The H100 with some groups of values replaced.
fn changed(change: &str) -> Value {
    let mut gpu = h100();
    for (group, value) in serde_json::from_str::<Value>(change).unwrap().as_object().unwrap() {
        gpu[group] = value.clone();
    }
    gpu
}

#[test]
fn what_is_no_fault_is_none() {
    for change in [
        r#"{"clocks":{"reasons":["sw_power_cap"]}}"#,
        r#"{"links":{"nvlinks":[{"link":0,"active":false}]}}"#,
        r#"{"links":{"fabric":"completed","fabric_status":0}}"#,
        r#"{"errors":{"volatile_corrected":9000,"recovery_action":"unknown"}}"#,
    ] {
        let gpu = changed(change);
        assert_eq!(judged(&state(gpu, None, 3)), (vec![], GpuHealth::Healthy), "{change}");
    }
    // Slow for a moment only.
    let mut gpu = h100();
    gpu["clocks"] = json!({ "reasons": ["hw_slowdown"] });
    assert_eq!(judged(&state(gpu, None, 2)), (vec![], GpuHealth::Healthy));
}

#[test]
fn a_gpu_that_cannot_be_opened_is_unknown_and_named() {
    let seen = judged(&state(h100(), Some(999), 1));
    assert_eq!(seen, (vec![(Kind::GpuUnreadable, "NotOpened")], GpuHealth::Unknown));
}

#[test]
fn the_driver_has_its_own_verdicts() {
    for (code, kind) in [
        (codes::LIB_RM_VERSION_MISMATCH, Kind::GpuDriverMismatch),
        (codes::LIBRARY_NOT_FOUND, Kind::GpuDriverNotLoaded),
        (codes::DRIVER_NOT_LOADED, Kind::GpuDriverNotLoaded),
        (codes::UNKNOWN, Kind::GpuDriverFailed),
    ] {
        let mut failed = state(h100(), None, 0);
        failed.failed = Some(Failed { call: "nvmlInit_v2".into(), code, why: String::new() });
        let (found, health) = judged(&failed);
        assert_eq!((found[0].0, health), (kind, GpuHealth::Unknown), "{code}");
    }
    let mut state = State::default();
    let on_pci = vec![OnPci { pci: PCI.to_owned(), gone: false }];
    state.step(Moment::at_ms(0), Event::Files(Files { on_pci, module: None }));
    assert_eq!(judged(&state).0, [(Kind::GpuDriverNotLoaded, "ModuleNotLoaded")]);
    assert_eq!(judged(&State::default()).0, [], "nothing is known yet");
}

#[test]
fn a_gpu_that_went_from_the_bus_keeps_its_name() {
    let mut state = state(h100(), None, 1);
    let other = vec![OnPci { pci: "0000:00:07.0".to_owned(), gone: false }];
    let files = Files { on_pci: other, module: Some("580.159.04".to_owned()) };
    state.step(Moment::at_ms(10_000), Event::Files(files));
    let seen = view::seen(&state, Moment::at_ms(20_000));
    let lost = seen.findings.iter().find(|found| found.kind == Kind::GpuLost).unwrap();
    assert_eq!(lost.subject, "GPU-1");
    assert_eq!(seen.gpus.gpus.len(), 2);
}

#[test]
fn a_switch_that_failed_is_told_and_what_it_mended_itself_is_not() {
    let mut state = state(h100(), None, 3);
    let line = |code, fatal| Line::Sxid { pci: "0000:a9:00.0".to_owned(), code, fatal };
    let now = Moment::at_ms(20_000);
    state.step(now, Event::Kernel(line(12028, false), now));
    assert_eq!(judged(&state).0, []);
    state.step(now, Event::Kernel(line(20034, true), now));
    state.step(now, Event::Kernel(line(20001, true), now));
    assert_eq!(judged(&state), (vec![(Kind::NvlinkDegraded, "SwitchFailed")], GpuHealth::Healthy));
    let found = findings(&state, &Gpus::default(), now);
    assert_eq!(found[0].subject, "0000:a9:00.0");
    assert!(found[0].message.contains("2 fatal error(s), the last is SXid 20001"), "{found:?}");
}

#[test]
fn the_number_of_gpus_is_what_the_configuration_says_or_a_condition() {
    let of = |expected, listed: Option<u32>, module: bool| {
        let mut state = State::expecting(expected);
        let on_pci =
            [PCI, "0000:00:07.0"].map(|pci| OnPci { pci: pci.into(), gone: false }).to_vec();
        let module = module.then(|| "580".to_owned());
        state.step(Moment::at_ms(0), Event::Files(Files { on_pci, module }));
        if listed.is_some() {
            let round = Round { listed, gpus: Vec::new(), took_us: 1 };
            state.step(Moment::at_ms(0), Event::Said(Said::Round(round)));
        }
        let found = super::count(&state);
        found.map(|found| (found.reason, found.message))
    };
    assert_eq!(of(None, Some(2), true), None);
    assert_eq!(of(None, None, false), None);
    assert_eq!(of(Some(2), Some(2), true), None);
    assert_eq!(of(Some(2), None, true), None, "nobody has answered yet");
    let reason = |expected, listed, module| of(expected, listed, module).map(|(reason, _)| reason);
    assert_eq!(reason(None, Some(1), true), Some("FewerThanOnPci"));
    assert_eq!(reason(Some(1), Some(2), true), Some("MoreThanExpected"));
    assert_eq!(reason(Some(2), None, false), Some("FewerThanExpected"), "no driver, no answer");
    assert_eq!(reason(Some(8), None, true), Some("FewerThanExpected"), "the bus says so already");
    let (reason, message) = of(Some(2), Some(1), true).unwrap();
    assert_eq!(reason, "FewerThanExpected");
    assert_eq!(message, "gpu.expected is 2: 2 on the PCI bus, 1 listed by the driver");
}

#[test]
fn a_process_that_no_signal_reaches_is_named_with_its_user() {
    let mut state = state(h100(), None, 1);
    let asleep = super::super::stuck::Asleep {
        pid: 4242,
        tid: 4242,
        start_ticks: 1,
        switches: 1,
        command: "python3".to_owned(),
        user: "ada".to_owned(),
    };
    for second in [0, 20, 40] {
        state.step(Moment::at_ms(second * 1000), Event::Asleep(vec![asleep.clone()]));
    }
    let seen = view::seen(&state, Moment::at_ms(40_000));
    assert_eq!(seen.gpus.driver.stuck_pids, [4242]);
    let found = seen.findings.iter().find(|one| one.kind == Kind::GpuProcessStuck).unwrap();
    assert_eq!(found.subject, "4242");
    for part in ["python3", "4242", "ada", "1970-01-01T00:00:00.000Z"] {
        assert!(found.message.contains(part), "{}", found.message);
    }
    state.step(Moment::at_ms(45_000), Event::Asleep(Vec::new()));
    assert!(view::seen(&state, Moment::at_ms(45_000)).gpus.driver.stuck_pids.is_empty());
}
