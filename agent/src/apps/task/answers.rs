//! Asks a running app, and takes what comes back: whether it works, and which kernels have ended.

use std::sync::Arc;
use std::time::Duration;

use station_proto::app::{AppPhase, KernelEnd};

use super::{Task, What};
use crate::apps::look::probe::{self, Answer};
use crate::apps::look::{attendant, kernels};
use crate::apps::state::Event;
use crate::attend::report::{Ended, Report};
use crate::base::chain::Chain;
use crate::base::ids::AppName;
use crate::os::clock;
use crate::store::NewEvent;

impl Task {
    /// Asks the app, and then its attendant.
    pub(super) fn probe(&mut self, name: &AppName, generation: u64) {
        let root = self.parts.privileged.root();
        let Some(place) = probe::Place::of(&root, name) else { return };
        let (folder, uid, app) = (root.folder_of(name), root.user.uid, name.clone());
        let unit = root.unit(name, generation);
        let told = self.apps.get(name).map_or(0, |slot| slot.row.kernels_told);
        self.work(name, Some(generation), async move {
            match probe::ask(&place).await {
                Ok(answer) => {
                    let report = attendant::ask(&folder, uid, &unit, told).await;
                    What::Answered(answer, report.map(Box::new))
                }
                Err(error) => {
                    tracing::debug!(%app, error = %Chain(&error), "no good answer");
                    What::Event(Event::Silent)
                }
            }
        });
    }

    pub(super) fn answered(&mut self, name: &AppName, answer: Answer, report: Option<Report>) {
        let (root, now) = (self.parts.privileged.root(), clock::now());
        let Some(kind) = root.app(name).map(|app| app.kind) else { return };
        let uses = self.parts.uses.clone();
        let ended = report.as_ref().map(|report| report.ended.clone()).unwrap_or_default();
        self.kernels_ended(name, &ended);
        let Some(slot) = self.apps.get_mut(name) else { return };
        slot.looked.take((answer, report), (name, kind), (&uses, now));
        let activity = slot.activity((name, kind), &uses, now);
        self.parts.activities.send_modify(|all| {
            Arc::make_mut(all).insert(name.clone(), activity);
        });
        self.step(name, Event::Answered);
        let Some(slot) = self.apps.get_mut(name) else { return };
        let limit = slot.idle_stop.filter(|_| slot.state.phase() == AppPhase::Ready);
        let (Some(idle), Some(limit)) = (slot.looked.idle_for(), limit) else { return };
        match limit.checked_sub(idle).filter(|left| !left.is_zero()) {
            // At the moment when the limit is over, not up to one look later.
            Some(left) => slot.state.look_within(now, left),
            None => self.step(name, Event::Idle),
        }
    }

    /// Tells of kernels that have ended since the last look, each once.
    fn kernels_ended(&mut self, name: &AppName, ended: &[Ended]) {
        let asked = self.parts.uses.ends(name.as_str());
        let now = clock::now();
        for one in ended {
            let Some(slot) = self.apps.get_mut(name) else { return };
            if one.seq <= slot.row.kernels_told {
                continue;
            }
            let ago = now.wall.as_millisecond().saturating_sub(one.at);
            let ago = Duration::from_millis(u64::try_from(ago).unwrap_or_default());
            let cause = kernels::cause(one, &asked, now.mono.saturating_sub(ago));
            let path = slot.notebook_of(&one.kernel);
            let which = path.clone().unwrap_or_else(|| format!("kernel {}", one.kernel));
            let message = format!("{which}: {}", cause.message);
            tracing::info!(app = %name, kind = "kernel.ended", "{message}");
            self.parts.store.note(NewEvent::new("kernel.ended", name.as_str(), message));
            if let Some(slot) = self.apps.get_mut(name) {
                slot.kernel_ended(KernelEnd { kernel: one.kernel.clone(), path, cause });
            }
            self.save(name, |row, _| row.kernels_told = one.seq);
        }
    }
}
