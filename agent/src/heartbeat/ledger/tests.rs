//! Deltas, applied as a poller applies them, lead to the status itself.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use station_proto::app::{App, AppPhase};
use station_proto::condition::{Condition, Truth};
use station_proto::gpu::GpuSummary;
use station_proto::heartbeat::{Phase, WrongBase};
use station_proto::mount::Mount;
use station_proto::time::Time;

use super::*;

fn time(ms: i64) -> Time {
    Time::from_ms(ms).unwrap()
}

fn condition(kind: &str, subject: &str, word: u8) -> Condition {
    Condition {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        status: Truth::True,
        reason: format!("Reason{word}"),
        message: String::new(),
        action: String::new(),
        since: time(i64::from(word)),
    }
}

fn app(name: &str, word: u8) -> App {
    App {
        name: name.to_owned(),
        kind: "custom".to_owned(),
        phase: AppPhase::Ready,
        since: time(0),
        path: format!("/apps/{name}/"),
        wanted: true,
        generation: u64::from(word),
        pid: None,
        kernels: None,
        failures: 0,
        next_start: None,
        message: String::new(),
        last_end: None,
        kernel_ends: Vec::new(),
        shares: None,
    }
}

fn mount(name: &str, word: u8) -> Mount {
    Mount { ready: word == 0, ..Mount::unknown(name, "directory", String::new()) }
}

fn gpu(pci: &str, word: u8) -> GpuSummary {
    GpuSummary { pci: pci.to_owned(), memory_mib: Some(u64::from(word)), ..GpuSummary::default() }
}

fn status(seq: u64) -> Status {
    Status {
        seq,
        phase: Phase::Ready,
        ready: true,
        since: time(0),
        version: "0.1.0".to_owned(),
        name: "vm7".to_owned(),
        public_url: String::new(),
        conditions: Vec::new(),
        apps: Vec::new(),
        mounts: Vec::new(),
        gpus: Vec::new(),
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Some of the names in any order, each with a word that makes its entry one or another.
fn list() -> impl Strategy<Value = Vec<(&'static str, u8)>> {
    let names = subsequence(NAMES.to_vec(), 0..=NAMES.len()).prop_shuffle();
    (names, vec(0_u8..2, NAMES.len()))
        .prop_map(|(names, words)| names.into_iter().zip(words).collect())
}

fn any_status() -> impl Strategy<Value = Status> {
    let lists = (list(), list(), list(), list());
    (lists, any::<bool>(), 0_i64..3).prop_map(|((conditions, apps, mounts, gpus), ready, since)| {
        let of = |word: u8| if word == 0 { "" } else { "x" };
        Status {
            phase: if ready { Phase::Ready } else { Phase::Degraded },
            ready,
            since: time(since),
            name: format!("vm{since}"),
            conditions: conditions.iter().map(|(n, w)| condition(n, of(*w), *w)).collect(),
            apps: apps.iter().map(|(name, word)| app(name, *word)).collect(),
            mounts: mounts.iter().map(|(name, word)| mount(name, *word)).collect(),
            gpus: gpus.iter().map(|(name, word)| gpu(name, *word)).collect(),
            ..status(0)
        }
    })
}

proptest! {
    #[test]
    fn deltas_lead_from_any_status_to_the_present_one(
        history in vec((any_status(), 1_u64..4), 1..12),
    ) {
        let mut seq = 10;
        let mut held: Vec<Status> = Vec::new();
        let mut ledger: Option<Ledger> = None;
        for (next, step) in history {
            seq += step;
            let next = Status { seq, ..next };
            match &mut ledger {
                None => ledger = Some(Ledger::new(Arc::new(next.clone()))),
                Some(ledger) => ledger.take(Arc::new(next.clone())),
            }
            held.push(next.clone());
            let ledger = ledger.as_ref().unwrap();
            for one in &held {
                // Over the wire, as a poller gets it.
                let text = serde_json::to_string(&ledger.since(one.seq).unwrap()).unwrap();
                let delta: Delta = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(one.apply(&delta).unwrap(), next.clone(), "{}", text);
            }
        }
    }
}

#[test]
fn one_change_is_all_that_is_told() {
    let first = Status { apps: vec![app("a", 0), app("b", 0)], ..status(5) };
    let mut ledger = Ledger::new(Arc::new(first.clone()));
    let appeared = condition("AppRestarting", "b", 0);
    let conditions = vec![appeared.clone()];
    ledger.take(Arc::new(Status { seq: 8, conditions, ..first.clone() }));
    let delta = ledger.since(5).unwrap();
    let changed = vec![Placed { at: 0, entry: appeared }];
    let conditions = Change { changed, removed: Vec::new() };
    assert_eq!(delta, Delta { from: 5, seq: 8, conditions, ..Delta::default() });
    ledger.take(Arc::new(Status { seq: 9, ..first }));
    let delta = ledger.since(8).unwrap();
    assert_eq!(
        serde_json::to_value(delta).unwrap(),
        serde_json::json!({
            "from": 8, "seq": 9, "conditions": { "removed": ["AppRestarting/b"] }
        })
    );
    assert!(ledger.since(9).unwrap().is_nothing());
    // A number between two statuses is that of an event: the status was the earlier one.
    assert!(!ledger.since(7).unwrap().is_nothing());
}

#[test]
fn what_is_not_remembered_or_never_was_has_no_delta() {
    let mut ledger = Ledger::new(Arc::new(status(5)));
    assert_eq!(ledger.since(4), Err(NoDelta::TooOld));
    assert_eq!(ledger.since(6), Err(NoDelta::Ahead));
    assert!(ledger.since(5).is_ok());
    // Conditions come and go until the first key that went is forgotten.
    let mut seq = 5;
    for number in 0..=limits::GONE_KEYS {
        let conditions = vec![condition(&format!("Kind{number}"), "", 0)];
        seq += 1;
        ledger.take(Arc::new(Status { conditions, ..status(seq) }));
    }
    assert!(ledger.since(5).is_ok(), "as many keys as there may be");
    ledger.take(Arc::new(status(seq + 1)));
    assert_eq!(ledger.since(5), Err(NoDelta::TooOld));
    assert!(ledger.since(7).is_ok());
}

#[test]
fn a_delta_for_another_status_is_refused() {
    let delta = Delta { from: 4, seq: 6, ..Delta::default() };
    assert_eq!(status(5).apply(&delta), Err(WrongBase { held: 5, from: 4 }));
}
