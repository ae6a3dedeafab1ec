//! Every decision about one app. Pure: the moment and the jitter are parameters.
//!
//! An effect's result comes back as an event; the picture of the states is on the cover page.

mod events;
mod states;

use std::collections::VecDeque;
use std::time::Duration;

use station_proto::app::AppPhase;
use station_proto::cause::{Cause, CauseKind};

use self::events::stopping;
use self::states::{State, Then};
use super::StartOn;
use crate::base::backoff;
use crate::base::limits;
use crate::base::moment::Moment;

pub(super) use self::events::{Effect, Event, Remembered, StopBy};

/// The first delay before a restart, and the longest.
const DELAY: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(60);
/// So many unwanted ends within the window open the crash-loop breaker.
const ENDS_MAX: usize = 6;
const ENDS_WINDOW: Duration = Duration::from_secs(600);
/// How long an open breaker waits.
const FAILED_RETRY: Duration = Duration::from_secs(300);
/// After so long without trouble, earlier ends are forgotten.
const SOUND_AFTER: Duration = Duration::from_secs(300);
/// How often a missing program is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
/// Between two probes: while it starts, while it runs, and after one that failed.
const PROBE_STARTING: Duration = Duration::from_millis(200);
const PROBE_RUNNING: Duration = Duration::from_secs(10);
const PROBE_MISSED: Duration = Duration::from_secs(2);
/// So many probes in a row must fail before it is called degraded.
const MISSES_MAX: u32 = 3;
/// How long after the grace a stop is taken into our own hands.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// One app's state.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) wanted: bool,
    /// When it starts where the user has not said anything.
    on: StartOn,
    /// What the user said last: what they stopped, no request starts again.
    said: Option<bool>,
    /// The daemon is ending with all its apps: nothing starts any more.
    down: bool,
    /// It is not in the configuration: it stops, and may come back.
    left: bool,
    state: State,
    pub(super) since: Moment,
    pub(super) generation: u64,
    pub(super) pid: Option<i32>,
    pub(super) failures: u32,
    pub(super) next_start: Option<Moment>,
    pub(super) message: String,
    pub(super) last_end: Option<Cause>,
    ends: VecDeque<Duration>,
    starts: VecDeque<Duration>,
    probe_due: Option<Duration>,
    misses: u32,
}

impl App {
    pub(super) fn new(now: Moment, start: StartOn, remembered: Remembered) -> Self {
        Self {
            wanted: remembered.wanted.unwrap_or(start == StartOn::Boot),
            on: start,
            said: remembered.wanted,
            down: false,
            left: false,
            state: State::Recovering,
            since: now,
            generation: remembered.generation,
            pid: None,
            failures: 0,
            next_start: None,
            message: "looking for an earlier run".to_owned(),
            last_end: remembered.last_end,
            ends: VecDeque::new(),
            starts: VecDeque::new(),
            probe_due: None,
            misses: 0,
        }
    }

    /// It is stopped, and a request may start it: nobody said that it should stay stopped.
    pub(super) fn waits_for_demand(&self) -> bool {
        self.said != Some(false) && !self.held() && self.state == State::Stopped
    }

    /// Nothing may start now, whoever wants it.
    fn held(&self) -> bool {
        self.down || self.left
    }

    pub(super) fn phase(&self) -> AppPhase {
        self.state.phase()
    }

    /// Whether a process of the app may exist.
    pub(super) fn occupied(&self) -> bool {
        self.state.occupied()
    }

    /// Whether it is before its start.
    pub(super) fn looks_for_program(&self) -> bool {
        self.state == State::Finding
    }

    /// Looks again after `wait` at the latest: a limit is over then.
    pub(super) fn look_within(&mut self, now: Moment, wait: Duration) {
        if let Some(due) = self.probe_due {
            self.probe_due = Some(due.min(now.mono + wait));
        }
    }

    /// When [`Event::Tick`] is wanted next.
    pub(super) fn due(&self) -> Option<Duration> {
        self.state.due().into_iter().chain(self.probe_due).min()
    }

    pub(super) fn step(&mut self, now: Moment, jitter: f64, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Running { generation, pid } => self.adopt(now, (generation, pid), &mut effects),
            Event::EndedBefore(cause) => {
                self.record(cause, &mut effects);
                self.settle(now, &mut effects);
            }
            Event::NothingBefore => self.settle(now, &mut effects),
            Event::Start => self.start(now, &mut effects),
            Event::Stop => {
                self.want(false, &mut effects);
                self.stop(now, (StopBy::User, Then::Rest), &mut effects);
            }
            Event::Restart => self.restart(now, &mut effects),
            Event::Demand => {
                if self.waits_for_demand() {
                    self.wanted = true;
                    self.find(now, &mut effects);
                }
            }
            Event::Idle => {
                if matches!(self.state, State::Ready { .. }) {
                    (self.wanted, self.said) = (false, None);
                    effects.push(Effect::SaveWanted(None));
                    self.stop(now, (StopBy::Idle, Then::Rest), &mut effects);
                }
            }
            Event::Down => {
                self.down = true;
                self.stop(now, (StopBy::Down, Then::Rest), &mut effects);
            }
            Event::Left => {
                self.left = true;
                self.stop(now, (StopBy::Left, Then::Rest), &mut effects);
            }
            Event::Configured(on) => self.configured(now, on, &mut effects),
            Event::Found => self.found(now, &mut effects),
            Event::Missing(message) => self.missing(now, message, &mut effects),
            Event::Launched { pid } => self.launched(now, pid, &mut effects),
            Event::LaunchFailed(cause) | Event::Ended(cause) => {
                self.ended(now, jitter, cause, &mut effects);
            }
            Event::Answered => self.answered(now, &mut effects),
            Event::Silent => self.silent(now, &mut effects),
            Event::Tick => self.tick(now, &mut effects),
        }
        effects
    }

    fn enter(&mut self, now: Moment, state: State, message: impl Into<String>) {
        let before = self.phase();
        self.state = state;
        self.message = message.into();
        if self.phase() != before {
            self.since = now;
        }
        self.next_start = match self.state {
            State::Backoff { due } | State::Failed { due } => {
                Some(now.after(due.saturating_sub(now.mono)))
            }
            _ => None,
        };
        if !self.occupied() {
            (self.pid, self.probe_due, self.misses) = (None, None, 0);
        }
    }

    fn want(&mut self, wanted: bool, effects: &mut Vec<Effect>) {
        (self.wanted, self.said) = (wanted, Some(wanted));
        effects.push(Effect::SaveWanted(self.said));
    }

    fn record(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        effects.push(note("app.ended", &cause.message));
        self.last_end = Some(cause.clone());
        effects.push(Effect::SaveEnd(cause));
    }

    fn adopt(&mut self, now: Moment, (generation, pid): (u64, i32), effects: &mut Vec<Effect>) {
        self.generation = generation;
        self.pid = Some(pid);
        self.probe_due = Some(now.mono);
        self.enter(
            now,
            State::Starting { deadline: None },
            "found running, waiting for its answer",
        );
        effects.push(note("app.adopted", &format!("found running as process {pid}, kept")));
        if self.said == Some(false) {
            self.stop(now, (StopBy::User, Then::Rest), effects);
        } else if self.down {
            self.stop(now, (StopBy::Down, Then::Rest), effects);
        } else if self.left {
            self.stop(now, (StopBy::Left, Then::Rest), effects);
        } else {
            self.wanted = true;
        }
    }

    /// Nothing runs: start it or leave it.
    fn settle(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.wanted && !self.held() {
            self.find(now, effects);
        } else {
            self.enter(now, State::Stopped, "stopped");
        }
    }

    fn start(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.held() {
            return;
        }
        self.want(true, effects);
        match &mut self.state {
            State::Stopping { then, .. } | State::Launching { stop: Some(_), then } => {
                *then = Then::Restart;
            }
            State::Unavailable { .. } => {
                // Seen as starting, so that whoever asked can tell the new finding from the old.
                self.enter(now, State::Stopped, "stopped");
                self.find(now, effects);
            }
            State::Stopped | State::Backoff { .. } | State::Failed { .. } => {
                self.find(now, effects);
            }
            _ => {}
        }
    }

    /// It is in the configuration, again or with another `start`. What the user said goes on, and
    /// what runs is not ended by a change of when it starts.
    fn configured(&mut self, now: Moment, on: StartOn, effects: &mut Vec<Effect>) {
        if self.on == on && !self.left {
            return;
        }
        let runs = self.wanted && !self.left && self.state != State::Stopped;
        (self.on, self.left) = (on, false);
        self.wanted = self.said.unwrap_or(on == StartOn::Boot || runs);
        if !self.wanted || self.down {
            return;
        }
        match &mut self.state {
            State::Stopping { then, .. } | State::Launching { stop: Some(_), then }
                if *then == Then::Rest =>
            {
                *then = Then::Restart;
            }
            State::Stopped => self.find(now, effects),
            _ => {}
        }
    }

    fn restart(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.occupied() && self.state != State::Recovering && !self.held() {
            self.want(true, effects);
            self.stop(now, (StopBy::User, Then::Restart), effects);
        } else {
            self.start(now, effects);
        }
    }

    fn stop(&mut self, now: Moment, (by, next): (StopBy, Then), effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Stopping { then, .. } => *then = next,
            State::Launching { stop, then } => (*stop, *then) = (Some(by), next),
            State::Starting { .. } | State::Ready { .. } | State::Degraded => {
                let force_at = now.mono + limits::APP_STOP + STOP_MARGIN;
                self.probe_due = None;
                self.enter(now, State::Stopping { then: next, force_at }, stopping(by));
                effects.push(note("app.stopping", stopping(by)));
                effects.push(Effect::Stop { by });
            }
            State::Recovering | State::Stopped => {}
            _ => {
                self.enter(now, State::Stopped, "stopped");
                effects.push(note("app.stopped", "stopped while it was not running"));
            }
        }
    }

    /// The way to every start: first the program must be there, and the limit must allow it.
    fn find(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.starts.retain(|at| now.mono.saturating_sub(*at) < MINUTE);
        if let Some(first) = self.starts.front()
            && self.starts.len() >= limits::APP_STARTS_PER_MINUTE
        {
            let due = *first + MINUTE;
            let message = format!(
                "started {} times within a minute: the next start waits until that is over",
                self.starts.len()
            );
            effects.push(note("app.backoff", &message));
            self.enter(now, State::Backoff { due }, message);
            return;
        }
        // A missing program stays "unavailable" while it is looked for again.
        if let State::Unavailable { due } = &mut self.state {
            *due = now.mono + LOOK_AGAIN;
        } else {
            self.enter(now, State::Finding, "looking for its program");
        }
        effects.push(Effect::Find);
    }

    fn found(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let looking = matches!(self.state, State::Finding | State::Unavailable { .. });
        if !looking || !self.wanted || self.held() {
            return;
        }
        self.generation += 1;
        self.starts.push_back(now.mono);
        self.enter(now, State::Launching { stop: None, then: Then::Rest }, "starting");
        let generation = self.generation;
        effects.push(note("app.starting", &format!("starting, generation {generation}")));
        effects.push(Effect::Launch { generation });
    }

    fn missing(&mut self, now: Moment, message: String, effects: &mut Vec<Effect>) {
        let state = State::Unavailable { due: now.mono + LOOK_AGAIN };
        match self.state {
            State::Finding => {
                effects.push(note("app.unavailable", &message));
                self.enter(now, state, message);
            }
            State::Unavailable { .. } => self.enter(now, state, message),
            _ => {}
        }
    }

    fn launched(&mut self, now: Moment, pid: i32, effects: &mut Vec<Effect>) {
        let State::Launching { stop, then } = self.state else { return };
        self.pid = Some(pid);
        self.probe_due = Some(now.mono);
        let deadline = Some(now.mono + limits::APP_START);
        self.enter(now, State::Starting { deadline }, "started, waiting for its first answer");
        if let Some(by) = stop {
            self.stop(now, (by, then), effects);
        }
    }

    fn ended(&mut self, now: Moment, jitter: f64, cause: Cause, effects: &mut Vec<Effect>) {
        let then = match self.state {
            State::Stopping { then, .. } | State::Launching { stop: Some(_), then } => then,
            State::Launching { .. }
            | State::Starting { .. }
            | State::Ready { .. }
            | State::Degraded => Then::Retry,
            _ => return,
        };
        let unwanted = cause.kind != CauseKind::UserStop;
        let idle = cause.kind == CauseKind::IdleStop;
        self.record(cause, effects);
        match then {
            Then::Rest => {
                self.enter(now, State::Stopped, "stopped");
                effects.push(note("app.stopped", "stopped, nothing of it is left"));
            }
            Then::Restart => self.find(now, effects),
            // An earlier stationd had asked for it.
            Then::Retry if idle => {
                (self.wanted, self.said) = (false, None);
                self.enter(now, State::Stopped, "stopped");
            }
            Then::Retry if unwanted => self.retry(now, jitter, effects),
            // Somebody else's stop, such as another stationctl at the keeper: not a crash.
            Then::Retry => self.settle(now, effects),
        }
    }

    /// Back-off, or the crash-loop breaker.
    fn retry(&mut self, now: Moment, jitter: f64, effects: &mut Vec<Effect>) {
        self.ends.push_back(now.mono);
        self.ends.retain(|at| now.mono.saturating_sub(*at) < ENDS_WINDOW);
        let delay = backoff::delay(DELAY, DELAY_MAX, self.failures, jitter).min(DELAY_MAX);
        self.failures += 1;
        if !self.wanted || self.held() {
            self.enter(now, State::Stopped, "stopped");
            return;
        }
        let how = self.last_end.as_ref().map(|end| end.message.clone()).unwrap_or_default();
        if self.ends.len() >= ENDS_MAX {
            let message = format!(
                "it ended {} times within 10 minutes, last: {how}; tried again every 5 minutes \
                 and at once on request",
                self.ends.len()
            );
            effects.push(note("app.failed", &message));
            self.enter(now, State::Failed { due: now.mono + FAILED_RETRY }, message);
        } else {
            let message = format!("{how}; started again in {} ms", delay.as_millis());
            effects.push(note("app.backoff", &message));
            self.enter(now, State::Backoff { due: now.mono + delay }, message);
        }
    }

    fn answered(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.misses = 0;
        match self.state {
            State::Starting { .. } | State::Degraded => {
                let again = self.state == State::Degraded;
                let message = if again { "it answers again" } else { "it answers" };
                self.enter(now, State::Ready { since: now.mono }, "running");
                effects.push(note("app.ready", message));
            }
            State::Ready { .. } => {}
            _ => return,
        }
        self.probe_due = Some(now.mono + PROBE_RUNNING);
    }

    fn silent(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.misses += 1;
        match self.state {
            State::Starting { deadline: Some(_) } => {
                self.probe_due = Some(now.mono + PROBE_STARTING);
            }
            State::Starting { deadline: None } | State::Ready { .. } => {
                self.probe_due = Some(now.mono + PROBE_MISSED);
                if self.misses >= MISSES_MAX {
                    let message = format!(
                        "it runs, but {} questions in a row had no answer; it is left running, \
                         because a kernel may be at work",
                        self.misses
                    );
                    effects.push(note("app.degraded", &message));
                    self.enter(now, State::Degraded, message);
                }
            }
            State::Degraded => self.probe_due = Some(now.mono + PROBE_MISSED),
            _ => {}
        }
    }

    fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let State::Ready { since } = self.state
            && now.mono.saturating_sub(since) >= SOUND_AFTER
        {
            self.failures = 0;
        }
        match self.state {
            State::Backoff { due } | State::Failed { due } | State::Unavailable { due }
                if now.mono >= due =>
            {
                self.find(now, effects);
            }
            State::Starting { deadline: Some(deadline) } if now.mono >= deadline => {
                self.stop(now, (StopBy::NotReady, Then::Retry), effects);
            }
            State::Stopping { then, force_at } if now.mono >= force_at => {
                let force_at = now.mono + STOP_MARGIN;
                self.state = State::Stopping { then, force_at };
                effects.push(Effect::ForceEnd);
            }
            _ => {}
        }
        if self.probe_due.is_some_and(|due| now.mono >= due) {
            self.probe_due = None;
            effects.push(Effect::Probe { generation: self.generation });
        }
    }
}

fn note(kind: &'static str, message: &str) -> Effect {
    Effect::Note { kind, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
