//! One app as the task holds it, and as others see it.

use std::time::Duration;

use station_proto::app::{AppActivity, KernelEnd};
use station_proto::time::Time;

use super::look::activity::{self, Facts, Source, State, wire};
use super::look::probe::Answer;
use super::look::uses::Uses;
use super::store::Row;
use super::{Activity, Gets, Notebook, Seen, Spec, state};
use crate::attend::report::{Kernel, Report};
use crate::base::ids::AppName;
use crate::base::moment::Moment;
use crate::privileged::{Kind, RootConfig};

/// Ends of kernels that are shown.
const ENDS: usize = 5;

/// One app.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: state::App,
    pub(super) row: Row,
    /// The fingerprint of what runs.
    pub(super) running: Option<String>,
    pub(super) looked: Looked,
    pub(super) dropped: u64,
    /// The last of its kernels that ended, oldest first.
    pub(super) kernel_ends: Vec<KernelEnd>,
    /// It has left the configuration: stopped, then forgotten.
    pub(super) removed: bool,
    pub(super) idle_stop: Option<Duration>,
}

/// What was seen of the present run.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) answer: Option<Answer>,
    /// The attendant's last report, and when it came; and the one before.
    pub(super) report: Option<(Report, Moment)>,
    before: Option<(Report, Moment)>,
    /// The last moment at which it was at work, or was first seen.
    active_at: Option<Moment>,
    /// How long it has been seen idle, and when it was last looked at.
    idle_for: Option<Duration>,
    seen_at: Option<Moment>,
}

/// Two looks are ten seconds apart. What is more was sleep or a stop of stationd, in which nobody could
/// use the app.
const LOOK_MOST: Duration = Duration::from_secs(30);

impl Looked {
    /// Takes what a look has brought, and says since when the app has been idle.
    pub(super) fn take(
        &mut self,
        (answer, report): (Answer, Option<Report>),
        (name, kind): (&AppName, Kind),
        (uses, now): (&Uses, Moment),
    ) {
        self.before = self.report.take();
        self.report = report.map(|report| (report, now));
        self.answer = Some(answer);
        let (state, since) = activity::verdict(&self.sources((name, kind), uses, now));
        if state != State::Idle || self.active_at.is_none() {
            self.active_at = Some(now);
        }
        let passed = self.seen_at.map_or(Duration::ZERO, |then| now.since(then)).min(LOOK_MOST);
        self.seen_at = Some(now);
        // A step of the clock makes nobody idle; what was done between two looks ends idleness.
        let by_clock = since.map(|since| Duration::try_from(now.wall.duration_since(since)));
        let most = by_clock.map_or(Duration::MAX, Result::unwrap_or_default);
        let idle = self.idle_for.map_or(Duration::ZERO, |before| (before + passed).min(most));
        self.idle_for = (state == State::Idle).then_some(idle);
    }

    /// How long it has been seen idle, whatever the clock and the machine's sleep did meanwhile.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        self.idle_for
    }

    /// What its sources say at this moment.
    pub(super) fn sources(
        &self,
        (name, kind): (&AppName, Kind),
        uses: &Uses,
        now: Moment,
    ) -> Vec<Source> {
        let Some(answer) = &self.answer else { return Vec::new() };
        let last_use = uses.last(name.as_str());
        let passed = |then: &Moment| {
            let taken = self.report.as_ref().map_or(now, |(_, taken)| *taken);
            taken.since(*then)
        };
        activity::sources(&Facts {
            kind,
            now,
            kernels: &answer.kernels,
            terminals: &answer.terminals,
            report: self.report.as_ref().map(|(report, _)| report),
            before: self.before.as_ref().map(|(report, then)| (report, passed(then))),
            last_use: last_use.as_ref(),
        })
    }

    /// Since when it has been idle, if it is.
    pub(super) fn idle_since(
        &self,
        app: (&AppName, Kind),
        uses: &Uses,
        now: Moment,
    ) -> Option<Time> {
        let (state, since) = activity::verdict(&self.sources(app, uses, now));
        let active_at = self.active_at.filter(|_| state == State::Idle)?;
        Some(Time(since.map_or(active_at.wall, |since| since.max(active_at.wall))))
    }

    fn kernels(&self) -> Option<Activity> {
        let answer = self.answer.as_ref()?;
        let count = |length| u32::try_from(length).unwrap_or(u32::MAX);
        let works = |kernel: &&activity::Kernel| {
            matches!(kernel.state.as_str(), "busy" | "starting" | "restarting")
        };
        let busy = count(answer.kernels.iter().filter(works).count());
        Some(Activity { kernels: count(answer.kernels.len()), busy })
    }
}

impl Slot {
    pub(super) fn new(state: state::App, row: Row, spec: &Spec) -> Self {
        Self {
            state,
            row,
            running: None,
            looked: Looked::default(),
            dropped: 0,
            kernel_ends: Vec::new(),
            removed: false,
            idle_stop: spec.idle_stop,
        }
    }

    pub(super) fn kernel_ended(&mut self, end: KernelEnd) {
        self.kernel_ends.push(end);
        if self.kernel_ends.len() > ENDS {
            self.kernel_ends.remove(0);
        }
    }

    /// Whether it would start now if what it works on were there.
    pub(super) fn waits(&self) -> bool {
        self.state.looks_for_program()
    }

    /// What shows whether it works, for the wire.
    pub(super) fn activity(&self, app: (&AppName, Kind), uses: &Uses, now: Moment) -> AppActivity {
        let sources = self.looked.sources(app, uses, now);
        let (state, _) = activity::verdict(&sources);
        let idle_since = self.looked.idle_since(app, uses, now);
        let stops_at = idle_since.zip(self.idle_stop).and_then(|(since, limit)| {
            let limit = jiff::SignedDuration::try_from(limit).ok()?;
            since.0.checked_add(limit).ok().map(Time)
        });
        AppActivity {
            name: app.0.to_string(),
            at: Time(now.wall),
            state: wire::state(state),
            idle_since,
            stops_at,
            sources: sources.into_iter().map(wire::source).collect(),
        }
    }

    /// The notebook that a kernel belongs to, as far as it is known.
    pub(super) fn notebook_of(&self, kernel: &str) -> Option<String> {
        let of = |one: &&activity::Kernel| one.id == kernel;
        self.looked.answer.as_ref()?.kernels.iter().find(of)?.path.clone()
    }

    /// Which process computes for which notebook: the attendant knows the one, Jupyter the other.
    fn notebooks(&self) -> Vec<Notebook> {
        let kernels = self.looked.report.iter().flat_map(|(report, _)| &report.kernels);
        let named = |kernel: &Kernel| {
            Some(Notebook { pid: kernel.pid, path: self.notebook_of(&kernel.id)? })
        };
        kernels.filter_map(named).collect()
    }

    /// As others see it.
    pub(super) fn seen(&self, name: &AppName, root: &RootConfig) -> Seen {
        let kind = root.app(name).map(|app| app.kind);
        let state = &self.state;
        let restart_pending = self.running.is_some() && self.running != root.fingerprint(name);
        let report = self.looked.report.as_ref().map(|(report, _)| report);
        let whole = root.app(name).is_none_or(|app| app.keeps_prefix);
        Seen {
            name: name.clone(),
            kind: kind.map_or("removed", |kind| kind.as_str()),
            phase: state.phase(),
            since: state.since,
            wanted: state.wanted,
            generation: state.generation,
            // The program's own, not the attendant's.
            pid: report.filter(|_| state.pid.is_some()).map(|report| report.pid).or(state.pid),
            failures: state.failures,
            next_start: state.next_start.map(|moment| Time(moment.wall)),
            message: self.message(name, root, report.filter(|_| !restart_pending)),
            last_end: state.last_end.clone(),
            activity: self.looked.kernels(),
            notebooks: self.notebooks(),
            kernel_ends: self.kernel_ends.clone(),
            restart_pending,
            on_demand: state.waits_for_demand(),
            dropped_bytes: self.dropped,
            socket: root.socket(name),
            uid: root.user.uid,
            prefix: prefix(name),
            gets: if whole { Gets::Whole } else { Gets::Rest },
            open: format!("{}{}", prefix(name), kind.map_or("", |kind| kind.open())),
            shares: None,
        }
    }

    /// Where a limit was asked for and the attendant sees none, that is said.
    fn message(&self, name: &AppName, root: &RootConfig, report: Option<&Report>) -> String {
        let message = &self.state.message;
        let wanted = root.app(name).and_then(|app| app.memory_max);
        let limit = |report: &Report| report.memory.as_ref().and_then(|memory| memory.limit_bytes);
        let holds = |report, wanted| limit(report).is_some_and(|limit| limit <= wanted);
        match (wanted, report) {
            (Some(wanted), Some(report)) if self.state.pid.is_some() && !holds(report, wanted) => {
                format!("{message}; memory_max is not enforced: no control group can be made here")
            }
            _ => message.clone(),
        }
    }
}

pub(super) fn prefix(name: &AppName) -> String {
    format!("/apps/{name}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two idle looks at JupyterLab, the second `mono` later by the one clock and `wall` by the other.
    fn idle_after(mono_s: u64, wall_s: u64) -> Option<u64> {
        let (name, uses) = (AppName::parse("lab").unwrap(), Uses::default());
        let mut looked = Looked::default();
        for (mono, wall) in [(1000, 1000), (1000 + mono_s, 1000 + wall_s)] {
            let now = Moment { mono: Duration::from_secs(mono), ..Moment::at_ms(wall * 1000) };
            let seen = (Answer::default(), Some(Report::default()));
            looked.take(seen, (&name, Kind::JupyterLab), (&uses, now));
        }
        looked.idle_for().map(|idle| idle.as_secs())
    }

    #[test]
    fn neither_a_step_of_the_clock_nor_sleep_makes_an_app_idle() {
        assert_eq!(idle_after(10, 10), Some(10));
        assert_eq!(idle_after(10, 86_400), Some(10));
        assert_eq!(idle_after(86_400, 86_400), Some(LOOK_MOST.as_secs()));
    }
}
