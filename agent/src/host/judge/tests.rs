//! What is said of which machine.

use std::time::Duration;

use station_proto::node::{Cuda, CudaToolkit};

use crate::host::kernel::{Kill, Victim};
use crate::host::state::{Event, Fast};
use crate::os::machine::kmsg::Record;
use crate::probe::host::{Disk, Files, Kept, Looked, Mounted, Space};
use crate::probe::{Heard, Topic};

use super::*;

fn now() -> Moment {
    Moment::at_ms(1_000_000)
}

fn said(state: &State) -> Vec<(Kind, &'static str, String)> {
    let found = findings(state, now());
    found.into_iter().map(|one| (one.kind, one.reason, one.message)).collect()
}

fn kinds(state: &State) -> Vec<Kind> {
    said(state).into_iter().map(|(kind, ..)| kind).collect()
}

#[test]
fn of_a_machine_that_is_well_or_unknown_nothing_is_said() {
    assert_eq!(said(&State::default()), []);
    let mut state = State::new(vec!["/".into()], "/".into(), "/t".into());
    let kept = Kept { maximum_error_us: 15_000 };
    let files = Files { clock: Some(kept), ..Files::default() };
    let looked = Looked { files: Some(Box::new(files)), ..Looked::default() };
    state.step(now(), Event::Looked(Some(Box::new(looked))));
    state.step(now(), Event::Fast(Fast::default()));
    assert_eq!(said(&state), []);
}

#[test]
fn a_kill_names_who_where_and_why() {
    let mut state = State::default();
    let group = "/stationd.slice/stationd-app-lab.service".to_owned();
    state.kills.heard(now(), Some(Kill::Group { pid: 7, group }));
    let victim =
        Victim { pid: 7, name: "python3".into(), resident_mib: Some(4096), by_limit: true };
    state.kills.heard(now(), Some(Kill::Killed(victim)));
    let found = said(&state);
    let [(Kind::OutOfMemoryKills, "ProcessKilled", message)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        message,
        "1 process ended by the kernel within the last hour; the last: python3 (pid 7, 4096 MiB) in \
         app lab at 1970-01-01T00:16:40Z, because its limit was reached"
    );
}

#[test]
fn kills_that_only_the_counter_tells_are_said_so() {
    let mut state = State::default();
    state.kills.counted(Moment::at_ms(900_000), Some(1));
    state.kills.lost(Moment::at_ms(900_000), 50);
    state.kills.counted(Moment::at_ms(901_000), Some(3));
    state.kills.counted(Moment::at_ms(920_000), Some(3));
    let found = said(&state);
    let [(_, "Counted", message)] = found.as_slice() else { panic!("{found:?}") };
    assert!(message.contains("2 processes") && message.contains("50 lines"), "{message}");
}

#[test]
fn the_clock_is_kept_or_not_or_not_known_and_it_jumps() {
    let clock = |kept, now| {
        let mut state = State::default();
        state.clock.known = kept;
        let found = findings(&state, now);
        found.first().map(|one| (one.reason, one.truth))
    };
    let lost = Known::Kept(Kept { maximum_error_us: 16_000_000 });
    assert_eq!(clock(lost, now()), Some(("NotKept", Truth::True)));
    assert_eq!(clock(lost, Moment::at_ms(60_000)), None, "it may still look for a server");
    assert_eq!(clock(Known::Denied, now()), Some(("NotPermitted", Truth::Unknown)));
    let mut state = State::default();
    state.clock.ticked(now(), 0);
    state.clock.ticked(now(), -90_000);
    assert_eq!(said(&state), [(Kind::ClockJumped, "Stepped", "it jumped back by 90 s".into())]);
}

#[test]
fn a_disk_that_is_full_silent_or_read_only_is_named() {
    let mut state = State::new(vec!["/".into(), "/dead".into()], "/".into(), "/t".into());
    let space = Space {
        total_bytes: 100 << 30,
        available_bytes: 3 << 30,
        inodes_total: 0,
        inodes_free: 0,
        id: 1,
    };
    let mounted = Mounted {
        at: "/".into(),
        kind: "ext4".into(),
        source: "/dev/sda1".into(),
        read_only: true,
    };
    let disks = vec![("/".into(), Disk::Space(space)), ("/dead".into(), Disk::Silent)];
    let files = Files { mounts: vec![Some(mounted), None], ..Files::default() };
    let looked = Looked { disks, files: Some(Box::new(files)), ..Looked::default() };
    state.step(now(), Event::Looked(Some(Box::new(looked))));
    let found = findings(&state, now());
    let found: Vec<(Kind, &str, &str)> =
        found.iter().map(|one| (one.kind, one.subject.as_str(), one.message.as_str())).collect();
    // The clock may not be asked in this table.
    let expected = [
        (Kind::DiskPressure, "/", "3 % of 100.0 GiB is left (3.0 GiB)"),
        (Kind::ReadOnlyFilesystem, "/", "/dev/sda1 (ext4) takes no writes"),
        (Kind::ProbeSilent, "/dead", "its file system gave no answer within five seconds"),
    ];
    assert_eq!(found[..3], expected);
}

#[test]
fn units_restarts_and_errors_are_named() {
    let names: Vec<String> = (0..7).map(|n| format!("u{n}.service")).collect();
    let mut state = State::default();
    state.units = Some(Units::Failed(names));
    let expected = "failed: u0.service, u1.service, u2.service, u3.service, u4.service and 2 more";
    assert_eq!(said(&state), [(Kind::UnitsFailed, "Failed", expected.into())]);
    state.units = Some(Units::Unknown("no answer".into()));
    assert_eq!(said(&state), []);
    state.reboot = Some(Reboot::Packages(Vec::new()));
    assert_eq!(kinds(&state), [Kind::RebootRequired]);
    let record = Record {
        at: Duration::from_secs(999),
        text: "EXT4-fs error (device sda1): ext4_find_entry: x".to_owned(),
    };
    state.step(now(), Event::Kernel(Heard::Line { topic: Topic::FileSystem, record }));
    assert_eq!(kinds(&state), [Kind::FilesystemErrors, Kind::RebootRequired]);
}

#[test]
fn a_toolkit_of_a_newer_major_version_does_not_fit_the_driver() {
    let with = |driver: Option<&str>, versions: &[&str], forward_compatible| {
        let toolkit = |version: &&str| CudaToolkit {
            version: (*version).to_owned(),
            path: format!("/usr/local/cuda-{version}"),
            forward_compatible,
            ..CudaToolkit::default()
        };
        let toolkits = versions.iter().map(toolkit).collect();
        let mut state = State::default();
        state.cuda = Some(Cuda { toolkits, ..Cuda::default() });
        state.driver_cuda = driver.map(str::to_owned);
        said(&state).into_iter().map(|(.., message)| message).next()
    };
    let message = with(Some("12.4"), &["11.8.0", "12.9.1", "13.0.1"], false).unwrap();
    assert_eq!(
        message,
        "the driver serves CUDA up to 12.4, and there is CUDA 13.0.1 in /usr/local/cuda-13.0.1"
    );
    assert_eq!(with(Some("12.4"), &["12.9.1", "9.0"], false), None, "minor versions do not count");
    assert_eq!(with(Some("12.4"), &["13.0.1"], true), None);
    assert_eq!(with(None, &["13.0.1"], false), None);
    assert_eq!(with(Some("?"), &["x"], false), None);
}
