//! The folder that apps work in: looked at through the probe, because a dead share never answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use station_proto::app::{App, AppPhase};
use station_proto::mount::{Mount, MountPhase};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::mounts;
use crate::heartbeat::{self, Facts};
use crate::probe::{Look, Probe};
use crate::wiring::edges::config_to_privileged;
use crate::wiring::start::Common;

/// How often the workspace is looked at, and how long it may take to answer.
const WORKSPACE_LOOK: Duration = Duration::from_secs(10);
/// How often it is looked for before an app that starts has made it.
const WORKSPACE_FIRST_LOOK: Duration = Duration::from_secs(2);
const WORKSPACE_ANSWER: Duration = Duration::from_secs(2);

/// What is said before the first look.
pub(super) fn unknown(common: &Common<'_>) -> Mount {
    let path = config_to_privileged::workspace(&common.settled.config, &common.outside.paths);
    mount(&path, false, "not looked at yet".to_owned())
}

fn mount(path: &Path, ready: bool, message: String) -> Mount {
    let phase = if ready { MountPhase::Ready } else { MountPhase::Unknown };
    let unknown = Mount::unknown("workspace", "directory", path.display().to_string());
    Mount { ready, message, phase, ..unknown }
}

/// Starts to look.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>) {
    if config_to_privileged::is_share(&common.settled.config) {
        return;
    }
    let (workspace, to) = (Workspace::new(common), facts.clone());
    let cancel = common.tasks.token().clone();
    common.tasks.part("facts-workspace", workspace.follow(to, cancel));
}

/// The folder that apps work in.
struct Workspace {
    path: PathBuf,
    probe: Probe,
    /// It was there once: from then on its absence is a fault.
    was_there: bool,
}

impl Workspace {
    fn new(common: &Common<'_>) -> Self {
        let settled = &common.settled.config;
        let path = config_to_privileged::workspace(settled, &common.outside.paths);
        Self { path, probe: super::probe(common.outside), was_there: false }
    }

    /// Looks, and says what there is.
    async fn look(&mut self, facts: &watch::Sender<Facts>) -> (Mount, heartbeat::Workspace) {
        let look = self.probe.look(&self.path, WORKSPACE_ANSWER).await;
        let before_its_start = |app: &App| app.generation == 0 || app.phase == AppPhase::Starting;
        let new = !self.was_there && facts.borrow().apps.iter().all(before_its_start);
        let path = self.path.display().to_string();
        let missing = match look {
            // What cannot be known is not claimed.
            Look::Folder | Look::Denied | Look::Unknown => None,
            Look::Missing if new => None,
            Look::Missing => Some(format!("{path} is not there any more")),
            Look::NotAFolder => Some(format!("{path} is not a folder")),
            Look::Silent => Some(format!("{path} does not answer")),
        };
        self.was_there |= look == Look::Folder;
        let message = match (&missing, look) {
            (Some(why), _) => why.clone(),
            (None, Look::Denied) => "it may not be looked at".to_owned(),
            (None, Look::Unknown) => "the probe does not answer".to_owned(),
            (None, Look::Missing) => "not made yet: the first app that starts makes it".to_owned(),
            (None, _) => "a local folder".to_owned(),
        };
        let workspace = match (missing, look) {
            (Some(why), _) => heartbeat::Workspace::Missing(why),
            (None, Look::Unknown) => heartbeat::Workspace::NotLooked,
            (None, _) => heartbeat::Workspace::Usable,
        };
        (mount(&self.path, look == Look::Folder, message), workspace)
    }

    /// Looks at once, and then now and then, for as long as the daemon runs.
    async fn follow(mut self, to: watch::Sender<Facts>, cancel: CancellationToken) {
        let mut pause = Duration::ZERO;
        while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let (mount, workspace) = self.look(&to).await;
            to.send_if_modified(|facts| {
                let changed = facts.workspace != workspace;
                facts.workspace = workspace;
                mounts::put(&mut facts.mounts, mount) || changed
            });
            pause = if self.was_there { WORKSPACE_LOOK } else { WORKSPACE_FIRST_LOOK };
        }
    }
}
