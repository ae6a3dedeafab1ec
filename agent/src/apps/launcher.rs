//! The seam to whatever holds the apps: keepers of our own today, systemd's units as well later.
//!
//! Both must pass the same tests: what they start survives stationd and is found again.

use std::sync::Arc;

use super::direct::Direct;
use crate::base::ids::AppName;
use crate::privileged::Refusal;
use crate::privileged::keeper::files::{Exit, Kept, StopBy};

/// The back ends.
#[derive(Debug, Clone)]
pub(super) enum Launcher {
    Direct(Arc<Direct>),
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
    /// Whether the app's program is there.
    pub(super) async fn find(&self, app: &AppName) -> Result<(), Refusal> {
        let Self::Direct(direct) = self;
        direct.find(app).await
    }

    /// What an earlier stationd left running or what became of it; left-overs are ended.
    pub(super) async fn recover(&self, app: &AppName) -> Found {
        let Self::Direct(direct) = self;
        direct.recover(app).await
    }

    pub(super) async fn launch(&self, app: &AppName, generation: u64) -> Result<Unit, Refusal> {
        let Self::Direct(direct) = self;
        direct.launch(app, generation).await
    }

    /// Returns when the unit has ended; `dropped` hears how many output bytes were lost.
    pub(super) async fn watch(&self, unit: &Unit, dropped: impl Fn(u64) + Send) -> End {
        let Self::Direct(direct) = self;
        direct.watch(unit, dropped).await
    }

    /// Asks for the end; [`Launcher::watch`] tells when it has come.
    pub(super) async fn stop(&self, app: &AppName, by: StopBy) {
        let Self::Direct(direct) = self;
        direct.stop(app, by).await;
    }

    /// Ends the unit without its keeper's help.
    pub(super) async fn force(&self, app: &AppName) {
        let Self::Direct(direct) = self;
        direct.force(app).await;
    }

    /// Apps that run although nobody knows them any more.
    pub(super) fn running(&self) -> Vec<AppName> {
        let Self::Direct(direct) = self;
        direct.running()
    }
}
