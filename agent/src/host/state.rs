//! Pure: what is known of the machine, and when it is looked at next.

pub(super) mod clock;
pub(super) mod disks;
pub(super) mod held;
pub(super) mod kills;
pub(super) mod network;

use std::path::PathBuf;
use std::time::Duration;

use station_proto::node::{Agent, Cuda, Memory, Node};

use self::clock::{Clock, Known};
use self::disks::Disks;
use self::held::Held;
use self::kills::Kills;
use self::network::Way;
use super::kernel::{self, DiskError};
use super::pressure::Share;
use super::{Pace, judge};
use crate::base::moment::Moment;
use crate::probe::host::{Ask, Files, Looked, More, Reboot, Units, walk};
use crate::probe::{Heard, Topic};

/// What rarely changes is read again after so long, and at once when its files have changed.
const RARE: Duration = Duration::from_secs(600);
/// How long an error of a disk is news.
pub(super) const ERRORS: Duration = Duration::from_secs(24 * 3600);
/// Devices whose errors are remembered.
const DEVICES: usize = 32;

/// The shares of time in which tasks waited.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Stalls {
    pub cpu_some: Share,
    pub memory_some: Share,
    pub memory_full: Share,
    pub io_some: Share,
    pub io_full: Share,
}

/// What the cheap files said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fast {
    pub memory: Option<Memory>,
    pub stalls: Option<Stalls>,
    pub kills: Option<u64>,
    /// In tests: how far the wall clock was put forward.
    pub stepped_ms: i64,
}

#[derive(Debug)]
pub(super) enum Event {
    Fast(Fast),
    /// A look ended; `None` if it was not possible.
    Looked(Option<Box<Looked>>),
    Walked(PathBuf, Option<walk::Walked>),
    /// A line of the kernel's log, and when it was written.
    Kernel(Heard),
    Pace(Option<Agent>),
    DriverCuda(Option<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Look(Ask),
    Walk(walk::Ask),
}

/// Errors of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Errors {
    pub device: String,
    pub count: u64,
    pub last: Moment,
    pub message: String,
}

#[derive(Debug, Default)]
pub(super) struct State {
    tools: PathBuf,
    /// How often it looks.
    pub every: Pace,
    pacing: Pacing,
    pub memory: Held,
    pub cpu: Held,
    pub io: Held,
    pub agent: Held,
    pub kills: Kills,
    pub disks: Disks,
    pub errors: Vec<Errors>,
    pub clock: Clock,
    pub network: Way,
    pub reboot: Option<Reboot>,
    pub units: Option<Units>,
    pub pace: Option<Agent>,
    pub node: Option<Node>,
    pub cuda: Option<Cuda>,
    pub driver_cuda: Option<String>,
}

/// When what was looked at last, since boot.
#[derive(Debug, Default)]
struct Pacing {
    looking: bool,
    walking: bool,
    look: Option<Duration>,
    units: Option<Duration>,
    node: Rare,
    cuda: Rare,
}

/// What is read again when its files change.
#[derive(Debug, Default)]
struct Rare {
    read: Option<Duration>,
    /// Of its files, when it was read and now.
    stamp: Option<u64>,
    changed: bool,
}

impl Rare {
    fn due(&mut self, now: Duration) -> bool {
        let due = self.changed || is_due(self.read, RARE, now);
        if due {
            self.read = Some(now);
            self.changed = false;
        }
        due
    }

    fn stamped(&mut self, stamp: u64) {
        self.changed |= self.stamp.is_some_and(|before| before != stamp);
        self.stamp = Some(stamp);
    }
}

fn is_due(last: Option<Duration>, every: Duration, now: Duration) -> bool {
    last.is_none_or(|last| now.saturating_sub(last) >= every)
}

impl State {
    /// The same at another pace than the usual one.
    pub(super) fn at(self, every: Pace) -> Self {
        Self { every, ..self }
    }

    pub(super) fn new(disks: Vec<PathBuf>, state: PathBuf, tools: PathBuf) -> Self {
        Self { tools, disks: Disks::new(disks, state), ..Self::default() }
    }

    pub(super) fn step(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        match event {
            Event::Fast(fast) => self.fast(now, &fast),
            Event::Looked(looked) => self.looked(now, looked),
            Event::Walked(path, walked) => {
                self.pacing.walking = false;
                self.disks.walked(&path, walked);
            }
            Event::Kernel(heard) => self.heard(now, heard),
            Event::Pace(pace) => {
                judge::agent(&mut self.agent, pace.as_ref());
                self.pace = pace;
            }
            Event::DriverCuda(version) => self.driver_cuda = version,
        }
        self.effects(now)
    }

    fn fast(&mut self, now: Moment, fast: &Fast) {
        judge::memory(&mut self.memory, fast.memory.as_ref(), fast.stalls.as_ref());
        judge::cpu(&mut self.cpu, fast.stalls.as_ref());
        judge::io(&mut self.io, fast.stalls.as_ref());
        self.kills.counted(now, fast.kills);
        self.clock.ticked(now, fast.stepped_ms);
    }

    fn looked(&mut self, now: Moment, looked: Option<Box<Looked>>) {
        self.pacing.looking = false;
        if looked.is_none() {
            self.units = None;
        }
        let Looked { disks, files, units, clock, node, cuda } =
            looked.map(|one| *one).unwrap_or_default();
        if let Some(files) = &files {
            self.pacing.node.stamped(files.node_stamp);
            self.pacing.cuda.stamped(files.cuda_stamp);
        }
        let files = files.map(|files| *files);
        let mounts = files.as_ref().map(|files| files.mounts.clone()).unwrap_or_default();
        self.disks.looked(disks, mounts);
        self.clock.asked = clock.or(self.clock.asked);
        let asked = self.clock.asked;
        let known = |files: &Files| files.clock.or(asked).map_or(Known::Denied, Known::Kept);
        self.clock.known = files.as_ref().map_or(Known::NotYet, known);
        self.network.looked(files.as_ref().and_then(|files| files.network.clone()));
        self.reboot = files.and_then(|files| files.reboot);
        // Not asked each time: the last answer holds until the next.
        self.units = units.or_else(|| self.units.take());
        self.node = node.map(|node| *node).or_else(|| self.node.take());
        self.cuda = cuda.or_else(|| self.cuda.take());
        self.errors.retain(|one| now.since(one.last) < ERRORS);
    }

    fn heard(&mut self, now: Moment, heard: Heard) {
        let (topic, record) = match heard {
            Heard::Lost { records } => return self.kills.lost(now, records),
            Heard::Line { topic, record } => (topic, record),
        };
        let at = ago(now, record.at);
        match topic {
            Topic::OutOfMemory => self.kills.heard(at, kernel::kill(&record.text)),
            Topic::FileSystem => {
                let error = kernel::disk_error(&record.text);
                if let Some(error) = error.filter(|_| now.since(at) < ERRORS) {
                    self.failed(at, error);
                }
            }
            Topic::Gpu => {}
        }
    }

    fn failed(&mut self, at: Moment, DiskError { device, message }: DiskError) {
        let full = self.errors.len() >= DEVICES;
        match self.errors.iter_mut().find(|one| one.device == device) {
            Some(one) => {
                one.count = one.count.saturating_add(1);
                one.last = at;
                // What the kernel did about it says more than one more error.
                if is_read_only(&message) || !is_read_only(&one.message) {
                    one.message = message;
                }
            }
            None if !full => {
                self.errors.push(Errors { device, count: 1, last: at, message });
            }
            None => {}
        }
    }

    fn effects(&mut self, now: Moment) -> Vec<Effect> {
        let (now, pacing) = (now.mono, &mut self.pacing);
        let mut effects = Vec::new();
        let changed = pacing.node.changed || pacing.cuda.changed;
        if !pacing.looking && (changed || is_due(pacing.look, self.every.look, now)) {
            (pacing.looking, pacing.look) = (true, Some(now));
            let units = is_due(pacing.units, self.every.units, now);
            if units {
                pacing.units = Some(now);
            }
            let more = More { units, node: pacing.node.due(now), cuda: pacing.cuda.due(now) };
            let tools = Some(self.tools.clone());
            effects.push(Effect::Look(Ask { disks: self.disks.paths().to_vec(), tools, more }));
        }
        if !pacing.walking
            && let Some(walk) = self.disks.next_walk(now)
        {
            pacing.walking = true;
            effects.push(Effect::Walk(walk));
        }
        effects
    }
}

/// The kernel took a file system out of use.
pub(super) fn is_read_only(message: &str) -> bool {
    message.contains("read-only") || message.contains("readonly")
}

/// When it was `at` since boot.
fn ago(now: Moment, at: Duration) -> Moment {
    let back = now.mono.saturating_sub(at);
    let back = jiff::SignedDuration::try_from(back).unwrap_or_default();
    Moment { mono: at, wall: now.wall.checked_sub(back).unwrap_or(now.wall) }
}

#[cfg(test)]
mod tests;
