//! Histories of drivers and GPUs.

use station_proto::gpu::{FailedCall, Gpu};

use super::*;
use crate::gpu::files::OnPci;
use crate::gpu::xid::line;
use crate::probe::gpu::Reading;

const PCI: [&str; 2] = ["0000:01:00.0", "0000:02:00.0"];

fn at(seconds: u64) -> Moment {
    Moment::at_ms(1_000_000 + seconds * 1000)
}

fn files(module: Option<&str>) -> Event {
    let on_pci = PCI.map(|pci| OnPci { pci: pci.to_owned(), gone: false }).to_vec();
    Event::Files(Files { on_pci, module: module.map(str::to_owned) })
}

fn started() -> Event {
    Event::Said(Said::Started(Versions::default()))
}

fn round(failing: Option<Code>) -> Event {
    let reading = |pci: &str| {
        let mut gpu = Gpu::default();
        gpu.summary.pci = pci.to_owned();
        gpu.summary.uuid = Some(format!("GPU-{pci}"));
        let failed = |code| FailedCall { call: "nvmlDeviceGetTemperature".to_owned(), code };
        gpu.failed_calls = failing.filter(|_code| pci == PCI[1]).map(failed).into_iter().collect();
        Reading { gpu, closed: None }
    };
    let gpus = PCI.map(reading).to_vec();
    Event::Said(Said::Round(Round { listed: Some(2), gpus, took_us: 100 }))
}

fn slow(call: &str, pci: Option<&str>, seconds: u64) -> Event {
    let pci = pci.map(str::to_owned);
    Event::Said(Said::Slow { call: call.to_owned(), pci, for_ms: seconds * 1000 })
}

fn start(skip: &[&str]) -> Effect {
    let skip = skip.iter().map(|pci| (*pci).to_owned()).collect();
    Effect::Start(Ask { every: crate::gpu::EVERY, skip })
}

/// A driver that answers.
fn answering() -> State {
    let mut state = State::default();
    assert_eq!(state.step(at(0), files(Some("1"))), [start(&[])]);
    assert_eq!(state.step(at(1), started()), []);
    assert_eq!(state.step(at(1), round(None)), []);
    state
}

#[test]
fn without_a_driver_nobody_is_started() {
    let mut state = State::default();
    assert_eq!(state.step(at(0), files(None)), []);
    assert_eq!(state.step(at(60), Event::Tick), []);
    assert_eq!(state.phase, Phase::Off);
    assert_eq!(state.step(at(65), files(Some("1"))), [start(&[])], "it appears late");
}

#[test]
fn a_driver_that_goes_or_changes_takes_the_child_with_it() {
    let mut state = answering();
    assert_eq!(state.step(at(5), files(Some("1"))), []);
    assert_eq!(state.step(at(10), files(Some("2"))), [Effect::Stop, start(&[])]);
    assert_eq!(state.round, None, "what the old one said is no news");
    state.step(at(11), started());
    assert_eq!(state.step(at(15), files(None)), [Effect::Stop]);
    assert_eq!(state.phase, Phase::Off);
}

#[test]
fn a_call_that_hangs_ends_the_child_and_the_next_leaves_that_gpu_alone() {
    let mut state = answering();
    assert_eq!(state.step(at(13), slow("nvmlDeviceGetPowerUsage", Some(PCI[1]), 2)), []);
    assert_eq!(
        state.step(at(19), slow("nvmlDeviceGetPowerUsage", Some(PCI[1]), 8)),
        [Effect::Stop, start(&[PCI[1]]),]
    );
    state.step(at(20), started());
    assert_eq!(state.step(at(300), Event::Said(Said::Returned)), []);
    assert_eq!(state.step(at(300), Event::Tick), []);
    assert_eq!(state.step(at(320), Event::Said(Said::Returned)), []);
    assert_eq!(state.step(at(320), Event::Tick), [Effect::Stop, start(&[])], "tried again");
}

#[test]
fn starting_a_gpu_may_take_a_minute_and_then_the_whole_driver_waits() {
    let mut state = State::default();
    state.step(at(0), files(Some("1")));
    assert_eq!(state.step(at(59), slow("nvmlInit_v2", None, 59)), []);
    assert_eq!(state.step(at(60), slow("nvmlInit_v2", None, 60)), [Effect::Stop]);
    assert_eq!(state.step(at(60), Event::Ended), [], "its end is known");
    assert_eq!(state.step(at(69), Event::Tick), []);
    assert_eq!(state.step(at(70), Event::Tick), [start(&[])]);
}

#[test]
fn pauses_grow_to_five_minutes() {
    let mut state = answering();
    let mut now = 10;
    for pause in [10, 20, 40, 80, 160, 300, 300] {
        state.step(at(now), Event::Ended);
        assert_eq!(state.step(at(now + pause - 1), Event::Tick), [], "{pause}");
        assert_eq!(state.step(at(now + pause), Event::Tick), [start(&[])], "{pause}");
        now += pause;
    }
}

#[test]
fn silence_is_an_end_and_leaves_no_old_values() {
    let mut state = answering();
    assert_eq!(state.step(at(30), Event::Tick), []);
    assert_eq!(state.step(at(31), Event::Tick), [Effect::Stop]);
    assert_eq!(state.round, None);
}

#[test]
fn a_process_that_cannot_be_ended_is_named_until_one_starts() {
    let mut state = answering();
    state.step(at(10), Event::Ended);
    state.step(at(20), Event::Tick);
    assert_eq!(state.step(at(20), Event::NotStarted { stuck: Some(7) }), []);
    assert_eq!(state.stuck, Some(7));
    assert_eq!(state.step(at(40), Event::Tick), [start(&[])]);
    assert_eq!(state.step(at(41), Event::Said(Said::Stuck { pid: 7 })), [Effect::Stop]);
    assert_eq!(state.stuck, Some(7));
    state.step(at(90), Event::Tick);
    state.step(at(91), started());
    assert_eq!(state.stuck, None);
}

#[test]
fn a_lost_gpu_is_opened_anew_after_five_minutes() {
    let mut state = answering();
    for second in (10..=310).step_by(10) {
        assert_eq!(state.step(at(second), round(Some(codes::GPU_IS_LOST))), []);
        let effects = state.step(at(second), Event::Tick);
        assert_eq!(!effects.is_empty(), second == 310, "{second}");
    }
    // One that merely refuses a value is not lost.
    let mut state = answering();
    for second in (10..=900).step_by(10) {
        state.step(at(second), round(Some(codes::CORRUPTED_INFOROM)));
        assert_eq!(state.step(at(second), Event::Tick), [], "{second}");
    }
}

fn kernel_xid(code: u16, detail: &str) -> Event {
    let seen = line::Seen {
        pci: "0000:01:00".to_owned(),
        code,
        pid: Some(9),
        process: Some("python3".to_owned()),
        detail: detail.to_owned(),
    };
    Event::Kernel(Line::Xid(seen), at(20))
}

fn driver_xid(code: u32) -> Event {
    let what = EventKind::Xid(code);
    Event::Said(Said::Event(DriverEvent { pci: Some(PCI[0].to_owned()), what }))
}

#[test]
fn an_xid_that_kernel_and_driver_tell_of_counts_once() {
    let mut state = answering();
    state.step(at(20), driver_xid(31));
    state.step(at(20), kernel_xid(31, "MMU Fault"));
    let seen = &state.xids[PCI[0]];
    assert_eq!((seen.len(), seen[0].shown.count), (1, 1));
    assert_eq!((seen[0].shown.pid, seen[0].shown.detail.as_str()), (Some(9), "MMU Fault"));
    // Twice in the kernel's log is twice.
    state.step(at(20), kernel_xid(31, "another"));
    assert_eq!(state.xids[PCI[0]][0].shown.count, 2);
    for code in 1000..1100 {
        state.step(at(30), driver_xid(code));
    }
    assert_eq!(state.xids[PCI[0]].len(), XIDS, "a storm of kinds is bounded");
}

#[test]
fn heat_counts_round_by_round() {
    let hot = |state: &mut State, second, reason: &str| {
        let Event::Said(Said::Round(mut round)) = round(None) else { unreachable!() };
        round.gpus[0].gpu.clocks.reasons = Some(vec![reason.to_owned()]);
        state.step(at(second), Event::Said(Said::Round(round)));
        state.slowed[PCI[0]]
    };
    let mut state = answering();
    assert_eq!(hot(&mut state, 10, "hw_thermal_slowdown"), (0, 1));
    assert_eq!(hot(&mut state, 20, "sw_thermal_slowdown"), (0, 2));
    assert_eq!(hot(&mut state, 30, "hw_power_brake_slowdown"), (1, 0));
    assert_eq!(hot(&mut state, 40, "gpu_idle"), (0, 0));
}

#[test]
fn a_gpu_that_fell_off_the_bus_is_lost_until_it_answers_again() {
    let mut state = answering();
    let line = line::Line::FallenOffBus { pci: Some("0000:02:00".to_owned()) };
    state.step(at(5), Event::Kernel(line, at(5)));
    state.step(at(11), round(Some(codes::GPU_IS_LOST)));
    assert_eq!(state.fallen, [PCI[1]], "it does not answer");
    state.step(at(21), round(Some(codes::NOT_SUPPORTED)));
    assert_eq!(state.fallen, [""; 0], "it was reset");
}
