//! The seam to whatever holds the apps: keepers of our own, or units of systemd.
//!
//! Both must pass the same tests: what they start survives stationd and is found again.

mod direct;
mod units;

use std::sync::Arc;

use self::direct::Direct;
use self::units::Units;
use super::{AppsError, logs};
use crate::base::ids::AppName;
use crate::base::limits;
use crate::privileged::keeper::files::{Exit, Kept, StopBy};
use crate::privileged::{Holder, Privileged, Refusal, Reply, Verb};

/// Clones share the back end.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    privileged: Privileged,
    back_end: BackEnd,
}

#[derive(Debug, Clone)]
enum BackEnd {
    Direct(Arc<Direct>),
    Units(Arc<Units>),
}

/// A running app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) app: AppName,
    pub(super) kept: Kept,
}

/// How a unit ended; everything that belonged to it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Exit(Exit),
    /// The keeper was killed, so nobody saw the end.
    KeeperLost,
    /// systemd held it, and the end was not written down.
    Unseen,
    /// The machine restarted meanwhile.
    OtherBoot,
}

/// What there is of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Running(Unit),
    Ended { generation: u64, end: End },
    Nothing,
}

impl Launcher {
    pub(super) fn new(privileged: Privileged) -> Self {
        let back_end = match privileged.root().holder {
            Holder::Keepers => BackEnd::Direct(Arc::new(Direct::new(privileged.clone()))),
            Holder::Units => BackEnd::Units(Arc::new(Units::new(privileged.clone()))),
        };
        Self { privileged, back_end }
    }

    /// Whether the app's program is there.
    pub(super) async fn find(&self, app: &AppName) -> Result<(), Refusal> {
        self.privileged.call(Verb::FindApp { app: app.clone() }).await.map(drop)
    }

    pub(super) async fn launch(
        &self,
        app: &AppName,
        generation: u64,
        scratch: bool,
    ) -> Result<Unit, Refusal> {
        let verb = Verb::StartApp { app: app.clone(), generation, scratch };
        match self.privileged.call(verb).await? {
            Reply::Started(state) => Ok(Unit { app: app.clone(), kept: state.kept }),
            other => Err(Refusal::StartFailed(format!("an answer to another question: {other:?}"))),
        }
    }

    /// What an earlier stationd left running or what became of it; left-overs are ended.
    pub(super) async fn recover(&self, app: &AppName) -> Found {
        match &self.back_end {
            BackEnd::Direct(direct) => direct.recover(app).await,
            BackEnd::Units(units) => units.recover(app).await,
        }
    }

    /// Returns when the unit has ended; `dropped` hears how many output bytes were lost.
    pub(super) async fn watch(&self, unit: &Unit, dropped: impl Fn(u64) + Send) -> End {
        match &self.back_end {
            BackEnd::Direct(direct) => direct.watch(unit, dropped).await,
            // The journal says by itself what it did not take.
            BackEnd::Units(units) => units.watch(unit).await,
        }
    }

    /// Asks for the end; [`Launcher::watch`] tells when it has come.
    pub(super) async fn stop(&self, app: &AppName, by: StopBy) {
        match &self.back_end {
            BackEnd::Direct(direct) => direct.stop(app, by).await,
            BackEnd::Units(units) => units.stop(app, by).await,
        }
    }

    /// Ends the unit without its holder's help.
    pub(super) async fn force(&self, app: &AppName) {
        kill(&self.privileged, app, None).await;
    }

    /// Apps that run although nobody knows them any more.
    pub(super) async fn running(&self) -> Vec<AppName> {
        match &self.back_end {
            BackEnd::Direct(direct) => direct.running(),
            BackEnd::Units(units) => units.running().await,
        }
    }

    /// The last lines that the app printed, oldest first, without secrets.
    pub(super) async fn lines(
        &self,
        app: &AppName,
        count: usize,
    ) -> Result<Vec<String>, AppsError> {
        match &self.back_end {
            BackEnd::Direct(_) => {
                logs::tail(&self.privileged.root().log(app), count).map_err(AppsError::Log)
            }
            BackEnd::Units(units) => {
                units.lines(app, count, false).await.map_err(AppsError::Journal)
            }
        }
    }

    /// Those of the last run; for the evidence of an end.
    pub(super) async fn last_words(&self, app: &AppName) -> Vec<String> {
        match &self.back_end {
            BackEnd::Direct(_) => logs::of_this_run(&self.privileged.root().log(app)),
            BackEnd::Units(units) => {
                units.lines(app, limits::CAUSE_LINES, true).await.unwrap_or_default()
            }
        }
    }
}

/// Ends what runs of an app, whoever holds it.
pub(super) async fn kill(privileged: &Privileged, app: &AppName, generation: Option<u64>) {
    match privileged.call(Verb::KillUnit { app: app.clone(), generation }).await {
        Ok(Reply::Killed { processes }) if processes > 0 => {
            tracing::warn!(%app, processes, "ended what was left of an earlier run");
        }
        Ok(_) => {}
        // The next start tries again and is refused while something is left.
        Err(refusal) => tracing::error!(%app, %refusal, "an earlier run is not ended"),
    }
}
