//! What of the status changed when, so that a poller can be told no more than it does not know yet. Pure.
//!
//! Each field and each entry of a list carries the sequence number of its last change, and each entry
//! that went leaves its key behind. So a delta can be made for any number since the first status,
//! and no earlier status is kept. What is bounded is the keys of what went.
//!
//! An entry that did not change and yet stands elsewhere among its likes counts as changed: those that
//! did not change keep their order from one status to the next, which makes places unambiguous.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use station_proto::heartbeat::{Change, Delta, Keyed, Placed, Status};

use crate::base::limits;

/// The present status and the numbers of its parts.
#[derive(Debug, Clone)]
pub struct Ledger {
    status: Arc<Status>,
    /// Deltas can be made for this number and greater ones.
    floor: u64,
    fields: [u64; FIELDS],
    conditions: Vec<u64>,
    apps: Vec<u64>,
    mounts: Vec<u64>,
    gpus: Vec<u64>,
    /// Oldest first.
    gone: VecDeque<Gone>,
}

/// Why there is no delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDelta {
    /// The number is older than what is remembered.
    TooOld,
    /// There has been no such number yet: it belongs to another history.
    Ahead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Conditions,
    Apps,
    Mounts,
    Gpus,
}

#[derive(Debug, Clone)]
struct Gone {
    seq: u64,
    list: List,
    key: String,
}

/// The fields of the status that are no list, its number aside.
const FIELDS: usize = 6;

fn same(a: &Status, b: &Status) -> [bool; FIELDS] {
    [
        a.phase == b.phase,
        a.ready == b.ready,
        a.since == b.since,
        a.version == b.version,
        a.name == b.name,
        a.public_url == b.public_url,
    ]
}

impl Ledger {
    /// Begins with the first status.
    pub fn new(status: Arc<Status>) -> Self {
        let seq = status.seq;
        Self {
            floor: seq,
            fields: [seq; FIELDS],
            conditions: vec![seq; status.conditions.len()],
            apps: vec![seq; status.apps.len()],
            mounts: vec![seq; status.mounts.len()],
            gpus: vec![seq; status.gpus.len()],
            gone: VecDeque::new(),
            status,
        }
    }

    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Takes the next status, whose number is greater.
    pub fn take(&mut self, next: Arc<Status>) {
        let (before, seq) = (Arc::clone(&self.status), next.seq);
        for (number, same) in self.fields.iter_mut().zip(same(&before, &next)) {
            *number = if same { *number } else { seq };
        }
        let gone = &mut self.gone;
        let mut left = |list, keys: Left| {
            gone.retain(|one| one.list != list || !keys.back.contains(&one.key));
            gone.extend(keys.gone.into_iter().map(|key| Gone { seq, list, key }));
        };
        let (old, new) = (&before.conditions, &next.conditions);
        left(List::Conditions, renumber(&mut self.conditions, old, new, seq));
        left(List::Apps, renumber(&mut self.apps, &before.apps, &next.apps, seq));
        left(List::Mounts, renumber(&mut self.mounts, &before.mounts, &next.mounts, seq));
        left(List::Gpus, renumber(&mut self.gpus, &before.gpus, &next.gpus, seq));
        while self.gone.len() > limits::GONE_KEYS {
            self.floor = self.gone.pop_front().map_or(self.floor, |one| one.seq);
        }
        self.status = next;
    }

    /// What changed since the number `from`.
    pub fn since(&self, from: u64) -> Result<Delta, NoDelta> {
        let status = &self.status;
        if from > status.seq {
            return Err(NoDelta::Ahead);
        }
        if from < self.floor {
            return Err(NoDelta::TooOld);
        }
        let [phase, ready, since, version, name, public_url] =
            self.fields.map(|number| number > from);
        let text = |changed: bool, text: &String| changed.then(|| text.clone());
        Ok(Delta {
            from,
            seq: status.seq,
            phase: phase.then_some(status.phase),
            ready: ready.then_some(status.ready),
            since: since.then_some(status.since),
            version: text(version, &status.version),
            name: text(name, &status.name),
            public_url: text(public_url, &status.public_url),
            conditions: self.change(List::Conditions, &status.conditions, &self.conditions, from),
            apps: self.change(List::Apps, &status.apps, &self.apps, from),
            mounts: self.change(List::Mounts, &status.mounts, &self.mounts, from),
            gpus: self.change(List::Gpus, &status.gpus, &self.gpus, from),
        })
    }

    fn change<T: Clone>(&self, list: List, now: &[T], numbers: &[u64], from: u64) -> Change<T> {
        let changed = now.iter().zip(numbers).enumerate().filter(|(_, (_, seq))| **seq > from);
        let gone = self.gone.iter().filter(|one| one.list == list && one.seq > from);
        Change {
            changed: changed.map(|(at, (entry, _))| Placed { at, entry: entry.clone() }).collect(),
            removed: gone.map(|one| one.key.clone()).collect(),
        }
    }
}

/// Keys of entries that went, and of those that are there.
struct Left {
    gone: Vec<String>,
    back: Vec<String>,
}

/// Numbers the entries of the new list.
fn renumber<T: Keyed + PartialEq>(
    numbers: &mut Vec<u64>,
    before: &[T],
    after: &[T],
    seq: u64,
) -> Left {
    if before == after {
        return Left { gone: Vec::new(), back: Vec::new() };
    }
    let old: BTreeMap<String, usize> =
        before.iter().enumerate().map(|(at, entry)| (entry.key(), at)).collect();
    let back: Vec<String> = after.iter().map(Keyed::key).collect();
    // The place behind the last entry that stays as it is.
    let mut reached = 0;
    let next = after.iter().zip(&back).map(|(entry, key)| {
        let at = old.get(key).copied().filter(|at| *at >= reached);
        match at.filter(|at| before.get(*at) == Some(entry)) {
            Some(at) => {
                reached = at + 1;
                numbers.get(at).copied().unwrap_or(seq)
            }
            None => seq,
        }
    });
    let next = next.collect();
    *numbers = next;
    let gone = old.into_keys().filter(|key| !back.contains(key)).collect();
    Left { gone, back }
}

#[cfg(test)]
mod tests;
