//! When the machine is looked at, and what a failed look leaves.

use crate::os::machine::kmsg::Record;
use crate::probe::host::{Disk, Files, Space};

use super::*;

fn state() -> State {
    State::new(vec!["/".into(), "/s".into()], "/s".into(), "/t".into())
}

fn at(seconds: u64) -> Moment {
    Moment::at_ms(seconds * 1000)
}

fn tick(state: &mut State, seconds: u64) -> Vec<Effect> {
    state.step(at(seconds), Event::Fast(Fast::default()))
}

fn looked(state: &mut State, seconds: u64, files: Files) -> Vec<Effect> {
    let looked = Looked { files: Some(Box::new(files)), ..Looked::default() };
    state.step(at(seconds), Event::Looked(Some(Box::new(looked))))
}

/// What is asked beside the cheap files: units, node, CUDA.
fn more(effects: &[Effect]) -> Option<(bool, bool, bool)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Look(ask) => Some((ask.more.units, ask.more.node, ask.more.cuda)),
        Effect::Walk(_) => None,
    })
}

#[test]
fn everything_is_asked_first_and_each_thing_at_its_own_pace_then() {
    let mut state = state();
    assert_eq!(more(&tick(&mut state, 100)), Some((true, true, true)));
    // One look at a time, however long it takes.
    assert_eq!(tick(&mut state, 160), []);
    assert_eq!(more(&looked(&mut state, 161, Files::default())), Some((true, false, false)));
    looked(&mut state, 162, Files::default());
    assert_eq!(tick(&mut state, 170), []);
    assert_eq!(more(&tick(&mut state, 171)), Some((false, false, false)));
    looked(&mut state, 171, Files::default());
    assert_eq!(more(&tick(&mut state, 191)), Some((true, false, false)));
    looked(&mut state, 191, Files::default());
    assert_eq!(more(&tick(&mut state, 700)), Some((true, true, true)));
}

#[test]
fn what_rarely_changes_is_read_at_once_when_its_files_have_changed() {
    let mut state = state();
    tick(&mut state, 100);
    let files = |node_stamp, cuda_stamp| Files { node_stamp, cuda_stamp, ..Files::default() };
    assert_eq!(looked(&mut state, 101, files(1, 1)), []);
    tick(&mut state, 115);
    assert_eq!(more(&looked(&mut state, 116, files(2, 1))), Some((false, true, false)));
    assert_eq!(more(&looked(&mut state, 117, files(2, 7))), Some((false, false, true)));
    assert_eq!(looked(&mut state, 118, files(2, 7)), []);
}

#[test]
fn a_look_that_fails_leaves_no_old_values() {
    let mut state = state();
    tick(&mut state, 100);
    let space = Space {
        total_bytes: 100 << 30,
        available_bytes: 1 << 30,
        inodes_total: 0,
        inodes_free: 0,
        id: 1,
    };
    let full = Looked {
        disks: vec![("/".into(), Disk::Space(space))],
        units: Some(Units::Failed(vec!["x.service".into()])),
        node: Some(Box::default()),
        ..Looked::default()
    };
    let effects = state.step(at(101), Event::Looked(Some(Box::new(full))));
    assert!(matches!(effects.as_slice(), [Effect::Walk(_)]), "{effects:?}");
    assert_eq!(state.disks.pressed().len(), 1);
    tick(&mut state, 120);
    state.step(at(126), Event::Looked(None));
    assert!(state.disks.pressed().is_empty() && state.disks.local().is_empty());
    assert_eq!(state.units, None);
    assert!(state.node.is_some(), "what the machine is does not go stale");
}

#[test]
fn a_flood_of_errors_is_one_of_each_device() {
    let mut state = state();
    let line = |text: String| {
        let record = Record { at: Duration::from_secs(90), text };
        Event::Kernel(Heard::Line { topic: Topic::FileSystem, record })
    };
    for number in 0..100_000 {
        let text = format!("I/O error, dev sd{}, sector {number}", number % 100);
        state.step(at(100), line(text));
    }
    assert_eq!(state.errors.len(), DEVICES);
    assert_eq!(state.errors[0].count, 1000);
    state.step(at(100), line("EXT4-fs (sda1): Remounting filesystem read-only".into()));
    assert_eq!(state.errors.len(), DEVICES);
    tick(&mut state, 100 + 24 * 3600);
    looked(&mut state, 100 + 24 * 3600, Files::default());
    assert!(state.errors.is_empty());
}

#[test]
fn what_the_kernel_did_about_an_error_is_the_message_that_stays() {
    let mut state = state();
    for text in [
        "EXT4-fs error (device sda1): ext4_lookup:1785: x",
        "EXT4-fs (sda1): Remounting filesystem read-only",
        "EXT4-fs error (device sda1): ext4_lookup:1785: y",
    ] {
        let record = Record { at: Duration::from_secs(90), text: text.to_owned() };
        state.step(at(100), Event::Kernel(Heard::Line { topic: Topic::FileSystem, record }));
    }
    assert_eq!(state.errors.len(), 1);
    assert!(is_read_only(&state.errors[0].message), "{:?}", state.errors);
}
