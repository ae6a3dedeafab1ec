//! With systemd: apps are transient units, which the privileged side starts, looks at and ends.
//!
//! The end of an app is heard of without asking: the kernel tells it by a descriptor of the process.

use std::time::Duration;

use super::{End, Found, Unit};
use crate::apps::logs;
use crate::base::ids::AppName;
use crate::os::process;
use crate::privileged::keeper::files::{Kept, StopBy};
use crate::privileged::{Looked, Privileged, Refusal, Reply, Verb};

/// While a unit ends: killing what is left and writing down the end takes a moment.
const ENDING: Duration = Duration::from_millis(50);
/// Before the privileged side is asked again after it did not answer, the first time and at most.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(15);

/// Asks the privileged side.
#[derive(Debug)]
pub(super) struct Units {
    privileged: Privileged,
}

impl Units {
    pub(super) fn new(privileged: Privileged) -> Self {
        Self { privileged }
    }

    /// Returns with the answer, however long the other side is silent: what runs is not known
    /// before, and nothing may be started.
    pub(super) async fn recover(&self, app: &AppName) -> Found {
        match self.settled(app).await {
            Settled::Runs(kept) => Found::Running(Unit { app: app.clone(), kept }),
            Settled::Over(None) => Found::Nothing,
            Settled::Over(Some((generation, end))) => Found::Ended { generation, end },
        }
    }

    pub(super) async fn watch(&self, unit: &Unit) -> End {
        loop {
            process::ended(unit.kept.app.pid).await;
            match self.settled(&unit.app).await {
                // Its first process has ended, and PID 1 has not seen that yet.
                Settled::Runs(kept) if kept.unit == unit.kept.unit => {
                    tokio::time::sleep(ENDING).await;
                }
                Settled::Over(Some((generation, end))) if generation == unit.kept.generation => {
                    return end;
                }
                _ => return End::Unseen,
            }
        }
    }

    pub(super) async fn stop(&self, app: &AppName, by: StopBy) {
        let verb = Verb::StopUnit { app: app.clone(), by };
        if let Err(refusal) = self.privileged.call(verb).await {
            tracing::warn!(%app, %refusal, "the order to stop is not taken");
        }
    }

    pub(super) async fn running(&self) -> Vec<AppName> {
        match self.privileged.call(Verb::ListUnits {}).await {
            Ok(Reply::Units(apps)) => apps,
            Ok(_) => Vec::new(),
            Err(refusal) => {
                tracing::warn!(%refusal, "what runs is not known");
                Vec::new()
            }
        }
    }

    pub(super) async fn lines(
        &self,
        app: &AppName,
        count: usize,
        last_run: bool,
    ) -> Result<Vec<String>, Refusal> {
        let verb = Verb::ReadLog { app: app.clone(), lines: count, last_run };
        match self.privileged.call(verb).await? {
            Reply::Log(lines) => Ok(lines.iter().map(|line| logs::shown(line)).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// Looks until the unit is neither on its way out nor unknown.
    async fn settled(&self, app: &AppName) -> Settled {
        let mut again = AGAIN;
        loop {
            let looked = match self.privileged.call(Verb::LookAtUnit { app: app.clone() }).await {
                Ok(Reply::Looked(looked)) => looked,
                Ok(_) => return Settled::Over(None),
                Err(refusal) => {
                    if again == AGAIN {
                        tracing::warn!(%app, %refusal, "what became of it is not known yet");
                    }
                    tokio::time::sleep(again).await;
                    again = (again * 2).min(AGAIN_MAX);
                    continue;
                }
            };
            return match looked {
                Looked::Running(kept) => Settled::Runs(kept),
                Looked::Ending(_) => {
                    tokio::time::sleep(ENDING).await;
                    continue;
                }
                Looked::Ended(exit) => Settled::Over(Some((exit.generation, End::Exit(exit)))),
                Looked::Lost { generation } => Settled::Over(Some((generation, End::Unseen))),
                Looked::OtherBoot { generation } => {
                    Settled::Over(Some((generation, End::OtherBoot)))
                }
                Looked::Nothing => Settled::Over(None),
            };
        }
    }
}

/// What there is of a unit that does not change just now.
enum Settled {
    Runs(Kept),
    /// The generation and how it ended; absent if there never was one.
    Over(Option<(u64, End)>),
}
