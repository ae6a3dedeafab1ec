//! What changed in the status since one that a poller holds, and how the two make the new one.
//!
//! The rule, for a poller in any language: refuse a delta whose `from` is not the `seq` of the status
//! that is held. Take over each field of the delta that the status has, the lists aside. In each list,
//! take out the entries whose keys stand in `removed` and those that `changed` names; then put each of
//! `changed` in at its place `at`, in their order. The key of an entry is its `name`, for a GPU its
//! `pci`, for a condition `TYPE` or `TYPE/SUBJECT`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Lease, Phase, Status};
use crate::app::App;
use crate::condition::Condition;
use crate::gpu::GpuSummary;
use crate::mount::Mount;
use crate::node::Samples;
use crate::time::Time;

/// `GET /v1/heartbeat?since=SEQ`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatDelta {
    pub lease: Lease,
    pub delta: Delta,
    /// Absent where `samples=false` was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
}

/// What changed in the status from one sequence number to another. What is absent did not change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delta {
    /// The `seq` of the status that it is to be applied to.
    pub from: u64,
    /// The `seq` of the status that comes out. Equal to `from` if nothing changed.
    pub seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    #[serde(default = "Change::nothing", skip_serializing_if = "Change::is_nothing")]
    pub conditions: Change<Condition>,
    #[serde(default = "Change::nothing", skip_serializing_if = "Change::is_nothing")]
    pub apps: Change<App>,
    #[serde(default = "Change::nothing", skip_serializing_if = "Change::is_nothing")]
    pub mounts: Change<Mount>,
    #[serde(default = "Change::nothing", skip_serializing_if = "Change::is_nothing")]
    pub gpus: Change<GpuSummary>,
}

/// What changed in one list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change<T> {
    /// New and changed entries, by their places in the new list.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Placed<T>>,
    /// The keys of entries that are gone. A key that the list does not have is no mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// An entry and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placed<T> {
    /// Its index in the new list, counted from 0.
    pub at: usize,
    pub entry: T,
}

/// An entry of one of the status's lists. No two entries of a list have the same key.
pub trait Keyed {
    fn key(&self) -> String;
}

impl Keyed for Condition {
    fn key(&self) -> String {
        let slash = if self.subject.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", self.kind, self.subject)
    }
}

impl Keyed for App {
    fn key(&self) -> String {
        self.name.clone()
    }
}

impl Keyed for Mount {
    fn key(&self) -> String {
        self.name.clone()
    }
}

impl Keyed for GpuSummary {
    fn key(&self) -> String {
        self.pci.clone()
    }
}

impl<T> Default for Change<T> {
    fn default() -> Self {
        Self::nothing()
    }
}

impl<T> Change<T> {
    pub fn nothing() -> Self {
        Self { changed: Vec::new(), removed: Vec::new() }
    }

    pub fn is_nothing(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

impl<T: Keyed + Clone> Change<T> {
    /// The new list. A place beyond the end of the list is its end.
    fn applied(&self, held: &[T]) -> Vec<T> {
        if self.is_nothing() {
            return held.to_vec();
        }
        let mut out: Vec<String> = self.changed.iter().map(|one| one.entry.key()).collect();
        out.extend(self.removed.iter().cloned());
        let stays = held.iter().filter(|entry| !out.contains(&entry.key()));
        let mut list: Vec<T> = stays.cloned().collect();
        for Placed { at, entry } in &self.changed {
            list.insert((*at).min(list.len()), entry.clone());
        }
        list
    }
}

impl Delta {
    /// Whether the status is the same; only its number may be another.
    pub fn is_nothing(&self) -> bool {
        *self == Self { from: self.from, seq: self.seq, ..Self::default() }
    }
}

/// A delta that is for another status than the one that is held: ask for the whole status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongBase {
    pub held: u64,
    pub from: u64,
}

impl std::fmt::Display for WrongBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { held, from } = self;
        write!(f, "the delta is for the status {from}, and {held} is held: ask without `since`")
    }
}

impl std::error::Error for WrongBase {}

impl Status {
    /// The status that `delta` leads to.
    pub fn apply(&self, delta: &Delta) -> Result<Self, WrongBase> {
        if delta.from != self.seq {
            return Err(WrongBase { held: self.seq, from: delta.from });
        }
        let text = |new: &Option<String>, held: &String| new.as_ref().unwrap_or(held).clone();
        Ok(Self {
            seq: delta.seq,
            phase: delta.phase.unwrap_or(self.phase),
            ready: delta.ready.unwrap_or(self.ready),
            since: delta.since.unwrap_or(self.since),
            version: text(&delta.version, &self.version),
            name: text(&delta.name, &self.name),
            public_url: text(&delta.public_url, &self.public_url),
            conditions: delta.conditions.applied(&self.conditions),
            apps: delta.apps.applied(&self.apps),
            mounts: delta.mounts.applied(&self.mounts),
            gpus: delta.gpus.applied(&self.gpus),
        })
    }
}
