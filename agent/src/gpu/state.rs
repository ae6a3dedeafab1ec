//! Pure: what is known of the GPUs, and whether somebody should ask the driver.
//!
//! ```text
//!          module loaded                 Started            Round, Round, …
//!   Off ───────────────► Asked ────────────────► Answering ──────┐
//!    ▲                     │ Failed, ended          │ a call does not return: Stop, skip that GPU
//!    └── module gone ──────┴──► Waiting(until) ◄────┘ ended, silent, GPU lost for minutes
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use station_proto::gpu::XidSeen;
use station_proto::time::Time;

use super::files::Files;
use super::stuck::{Asleep, Sleeps};
use super::xid::{self, Xid, line::Line};
use crate::base::moment::Moment;
use crate::probe::gpu::{Ask, Code, Event as DriverEvent, EventKind, Round, Said, Versions, codes};

/// A call that takes longer makes the driver unresponsive.
pub(super) const UNRESPONSIVE: Duration = Duration::from_secs(5);
/// A call of one GPU that takes longer ends the child.
const GIVE_UP: Duration = Duration::from_secs(8);
/// The same for the calls that may start every GPU of the machine, which takes seconds for each.
const GIVE_UP_START: Duration = Duration::from_secs(60);
/// Calls that start GPUs.
const STARTS: [&str; 4] =
    ["nvmlInit_v2", "nvmlInitWithFlags", "nvmlDeviceGetHandleByPciBusId_v2", "dlopen"];
/// How long a GPU is left alone after a call on it did not return, and how long one that is lost may
/// stay so before everything is opened anew.
const LEAVE_ALONE: Duration = Duration::from_secs(300);
/// Without a word for so long the child is taken for dead.
const SILENT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(10);
const PAUSE_MOST: Duration = Duration::from_secs(300);
/// The same Xid within this time, heard from kernel and driver, is one.
const SAME: Duration = Duration::from_secs(3);
/// Kinds of Xid that are kept for each GPU.
const XIDS: usize = 32;

#[derive(Debug)]
pub(super) enum Event {
    Files(Files),
    Said(Said),
    /// The connection to the child has ended.
    Ended,
    /// It could not be started; the process that hangs, if one does.
    NotStarted {
        stuck: Option<i32>,
    },
    /// A message of the kernel, and when it was written.
    Kernel(Line, Moment),
    /// Threads of processes with a GPU that no signal wakes.
    Asleep(Vec<Asleep>),
    Tick,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Start(Ask),
    Stop,
}

/// Whether the driver is being asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Off,
    Asked,
    Answering,
    Waiting {
        until: Duration,
    },
}

/// An Xid that has come, once or more often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noted {
    pub shown: XidSeen,
    /// What the last one means; `None` if NVIDIA's catalogue does not have it.
    pub verdict: Option<Xid>,
}

/// A call that does not return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slow {
    pub call: String,
    pub pci: Option<String>,
    pub took: Duration,
}

/// Why the driver cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub call: String,
    pub code: Code,
    pub why: String,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// How many GPUs there should be.
    pub expected: Option<u32>,
    /// Who was last seen to use one. A driver that hangs does not say it any more.
    users: BTreeSet<i32>,
    pub sleeps: Sleeps,
    pub phase: Phase,
    pub files: Option<Files>,
    pub versions: Versions,
    /// The module that the child was started with.
    module: Option<String>,
    pub failed: Option<Failed>,
    pub slow: Option<Slow>,
    /// The process that asked the driver and can neither go on nor end.
    pub stuck: Option<i32>,
    pub round: Option<(Round, Moment)>,
    heard: Duration,
    /// GPUs that are left alone, until when, and the call that did not return.
    pub skipped: BTreeMap<String, (Duration, String)>,
    /// What was known of each GPU when it was last read: a lost one keeps its name.
    pub names: BTreeMap<String, (Option<String>, Option<String>)>,
    pub xids: BTreeMap<String, Vec<Noted>>,
    /// GPUs that fell off the bus, by the kernel's word.
    pub fallen: Vec<String>,
    /// Fatal errors of the switches between GPUs, by their places on the bus: the last code, and how many there were.
    pub switches: BTreeMap<String, (u16, u64)>,
    /// Rounds in a row in which a GPU was slowed by its hardware, and by heat.
    pub slowed: BTreeMap<String, (u32, u32)>,
    lost_since: Option<Duration>,
    failures: u32,
}

impl State {
    pub(super) fn step(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        match event {
            Event::Files(files) => self.files(now, files),
            Event::Said(said) => {
                self.heard = now.mono;
                self.said(now, said)
            }
            Event::Ended => {
                if matches!(self.phase, Phase::Asked | Phase::Answering) {
                    self.wait(now);
                }
                Vec::new()
            }
            Event::NotStarted { stuck } => {
                self.stuck = stuck;
                self.wait(now);
                Vec::new()
            }
            Event::Kernel(line, at) => {
                self.kernel(at, line);
                Vec::new()
            }
            Event::Asleep(asleep) => {
                self.sleeps.looked(now, asleep);
                Vec::new()
            }
            Event::Tick => self.tick(now),
        }
    }

    pub(super) fn expecting(expected: Option<u32>) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Who may be stuck in the driver, if one is loaded.
    pub(super) fn users(&self) -> Option<&BTreeSet<i32>> {
        self.module.is_some().then_some(&self.users)
    }

    fn files(&mut self, now: Moment, files: Files) -> Vec<Effect> {
        let module = files.module.clone();
        self.files = Some(files);
        let running = matches!(self.phase, Phase::Asked | Phase::Answering);
        if module.is_none() {
            let stop = running.then_some(Effect::Stop);
            self.forget();
            self.phase = Phase::Off;
            self.failures = 0;
            return stop.into_iter().collect();
        }
        // Another driver was loaded: the library in the child belongs to the old one.
        if running && self.module != module {
            self.module = module;
            self.forget();
            return vec![Effect::Stop, self.start(now)];
        }
        self.module = module;
        if self.phase == Phase::Off { vec![self.start(now)] } else { Vec::new() }
    }

    fn start(&mut self, now: Moment) -> Effect {
        self.phase = Phase::Asked;
        self.heard = now.mono;
        self.slow = None;
        self.skipped.retain(|_pci, (until, _call)| *until > now.mono);
        let skip = self.skipped.keys().cloned().collect();
        Effect::Start(Ask { every: super::EVERY, skip })
    }

    fn said(&mut self, now: Moment, said: Said) -> Vec<Effect> {
        match said {
            Said::Started(versions) => {
                self.phase = Phase::Answering;
                (self.versions, self.failed, self.stuck) = (versions, None, None);
            }
            Said::Failed { call, code, why } => {
                self.forget();
                self.failed = Some(Failed { call, code, why });
                self.wait(now);
                return vec![Effect::Stop];
            }
            Said::Round(round) => self.round(now, round),
            Said::Slow { call, pci, for_ms } => {
                return self.slow(now, Slow { call, pci, took: Duration::from_millis(for_ms) });
            }
            Said::Returned => self.slow = None,
            Said::Event(event) => self.driver_event(now, &event),
            Said::Stuck { pid } => {
                self.stuck = Some(pid);
                self.wait(now);
                return vec![Effect::Stop];
            }
            // The task passes these on to whoever asked.
            Said::Latency(_) => {}
        }
        Vec::new()
    }

    fn round(&mut self, now: Moment, round: Round) {
        self.failures = 0;
        self.slow = None;
        let mut lost = false;
        let listed = round.gpus.iter().filter_map(|one| one.gpu.processes.as_ref());
        self.users = listed.flatten().map(|process| process.pid).collect();
        for reading in &round.gpus {
            let gpu = &reading.gpu;
            let pci = &gpu.summary.pci;
            if gpu.summary.uuid.is_some() {
                let names = (gpu.summary.uuid.clone(), gpu.summary.name.clone());
                self.names.insert(pci.clone(), names);
            }
            let gone = |code: Code| {
                matches!(code, codes::GPU_IS_LOST | codes::GPU_NOT_FOUND | codes::RESET_REQUIRED)
            };
            let away =
                reading.closed.is_some() || gpu.failed_calls.iter().any(|failed| gone(failed.code));
            if !away {
                // It was reset, and answers again.
                self.fallen.retain(|fallen| fallen != pci);
            }
            lost |= away;
            let reasons = gpu.clocks.reasons.as_deref().unwrap_or_default();
            let has = |names: &[&str]| reasons.iter().any(|one| names.contains(&one.as_str()));
            let slowed = self.slowed.entry(pci.clone()).or_default();
            let count = |count: u32, holds: bool| if holds { count.saturating_add(1) } else { 0 };
            let hot = has(&["sw_thermal_slowdown", "hw_thermal_slowdown"]);
            let brake = has(&["hw_power_brake_slowdown"]) || has(&["hw_slowdown"]) && !hot;
            *slowed = (count(slowed.0, brake), count(slowed.1, hot));
        }
        self.lost_since = lost.then(|| self.lost_since.unwrap_or(now.mono));
        self.round = Some((round, now));
    }

    fn slow(&mut self, now: Moment, slow: Slow) -> Vec<Effect> {
        let limit = if STARTS.contains(&slow.call.as_str()) { GIVE_UP_START } else { GIVE_UP };
        let give_up = slow.took >= limit;
        let pci = slow.pci.clone();
        let call = slow.call.clone();
        self.slow = Some(slow);
        if !give_up {
            return Vec::new();
        }
        let Some(pci) = pci else {
            self.wait(now);
            return vec![Effect::Stop];
        };
        self.skipped.insert(pci, (now.mono + LEAVE_ALONE, call));
        vec![Effect::Stop, self.start(now)]
    }

    fn driver_event(&mut self, now: Moment, event: &DriverEvent) {
        let Some(pci) = event.pci.clone() else { return };
        match event.what {
            EventKind::Xid(code) => {
                let Ok(code) = u16::try_from(code) else { return };
                let (pid, process, detail) = (None, None, String::new());
                self.xid(now, xid::line::Seen { pci, code, pid, process, detail });
            }
            EventKind::Unavailable => self.fall(pci),
            EventKind::RecoveryAction => {}
        }
    }

    fn kernel(&mut self, now: Moment, line: Line) {
        match line {
            Line::Xid(seen) => {
                let pci = full(&seen.pci);
                self.xid(now, xid::line::Seen { pci, ..seen });
            }
            Line::FallenOffBus { pci: Some(pci) } => self.fall(full(&pci)),
            // The rounds and the files tell which GPU it is.
            // What is not fatal the switch has mended itself.
            Line::Sxid { pci, code, fatal: true } => self.switch(full(&pci), code),
            Line::FallenOffBus { pci: None } | Line::InitFailed { .. } | Line::Sxid { .. } => {}
        }
    }

    fn switch(&mut self, pci: String, code: u16) {
        if self.switches.len() < XIDS || self.switches.contains_key(&pci) {
            let (last, count) = self.switches.entry(pci).or_default();
            (*last, *count) = (code, count.saturating_add(1));
        }
    }

    fn fall(&mut self, pci: String) {
        if !self.fallen.contains(&pci) && self.fallen.len() < XIDS {
            self.fallen.push(pci);
        }
    }

    /// Counts an Xid. Kernel and driver tell of the same one; the kernel knows more of it.
    fn xid(&mut self, now: Moment, seen: xid::line::Seen) {
        if self.xids.len() >= XIDS && !self.xids.contains_key(&seen.pci) {
            return;
        }
        let verdict = xid::judge(&seen);
        let all = self.xids.entry(seen.pci).or_default();
        let at = Time(now.wall);
        let code = u32::from(seen.code);
        let place = all.iter().position(|old| old.shown.code == code);
        let fresh = || Noted { shown: first(code, at), verdict };
        let mut noted = place.map_or_else(fresh, |place| all.remove(place));
        let shown = &mut noted.shown;
        let since = at.as_ms().saturating_sub(shown.last.as_ms());
        let second_word = shown.count > 0
            && since < i64::try_from(SAME.as_millis()).unwrap_or(0)
            && seen.detail.is_empty() != shown.detail.is_empty();
        if !second_word {
            shown.count += 1;
            shown.last = at;
        }
        if !seen.detail.is_empty() || shown.count == 1 {
            (shown.pid, shown.process, shown.detail) = (seen.pid, seen.process, seen.detail);
            if let Some(verdict) = verdict {
                shown.name = Some(verdict.name.to_owned());
                shown.report_as = verdict.provider_category.map(str::to_owned);
                verdict.meaning.clone_into(&mut shown.meaning);
                verdict.remedy.sentence().clone_into(&mut shown.action);
            }
            noted.verdict = verdict;
        }
        all.push(noted);
        if all.len() > XIDS {
            all.remove(0);
        }
    }

    fn tick(&mut self, now: Moment) -> Vec<Effect> {
        match self.phase {
            Phase::Waiting { until } if now.mono >= until => vec![self.start(now)],
            Phase::Asked | Phase::Answering if now.mono.saturating_sub(self.heard) >= SILENT => {
                self.round = None;
                self.wait(now);
                vec![Effect::Stop]
            }
            Phase::Answering => {
                let again = self.skipped.values().any(|(until, _call)| *until <= now.mono);
                let lost = self.lost_since;
                let lost = lost.is_some_and(|since| now.mono.saturating_sub(since) >= LEAVE_ALONE);
                if again || lost {
                    self.lost_since = None;
                    return vec![Effect::Stop, self.start(now)];
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Nothing of what the driver said holds any more.
    fn forget(&mut self) {
        (self.round, self.failed, self.slow, self.lost_since) = (None, None, None, None);
        (self.versions, self.stuck) = (Versions::default(), None);
        self.skipped.clear();
        self.sleeps = Sleeps::default();
    }

    fn wait(&mut self, now: Moment) {
        let pause = PAUSE.saturating_mul(1 << self.failures.min(5)).min(PAUSE_MOST);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting { until: now.mono + pause };
        // A round of a child that is gone is no news.
        self.round = None;
    }
}

/// An Xid that nothing is known of yet.
fn first(code: u32, at: Time) -> XidSeen {
    XidSeen {
        code,
        count: 0,
        first: at,
        last: at,
        name: None,
        report_as: None,
        meaning: "NVIDIA's catalogue does not have it.".to_owned(),
        action: String::new(),
        pid: None,
        process: None,
        detail: String::new(),
    }
}

/// The kernel's driver leaves the function out: `0000:00:06`.
fn full(pci: &str) -> String {
    if pci.contains('.') { pci.to_owned() } else { format!("{pci}.0") }
}

#[cfg(test)]
mod tests;
