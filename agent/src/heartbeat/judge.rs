//! Pure: facts in, conditions and phase out.

use station_proto::app::{App, AppPhase};
use station_proto::condition::Truth;
use station_proto::heartbeat::Phase;

use super::{Facts, Workspace};
use crate::base::conditions::Kind;

/// A condition that holds now, or of which it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub subject: String,
    pub truth: Truth,
    pub reason: &'static str,
    pub message: String,
    pub action: String,
}

/// Everything that is wrong, in the order of [`Kind::ALL`], then by subject.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        machine(facts).into_iter().chain(facts.apps.iter().filter_map(app)).collect();
    found.extend(facts.found.values().flatten().cloned());
    found.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    found
}

fn machine(facts: &Facts) -> Vec<Finding> {
    let state = |kind: Kind, reason, message: &str| Finding {
        kind,
        subject: String::new(),
        truth: Truth::True,
        reason,
        message: message.to_owned(),
        action: kind.explained().remedy.to_owned(),
    };
    let mut found = Vec::new();
    if let Some(mistakes) = &facts.config_invalid {
        found.push(state(Kind::ConfigInvalid, "Mistakes", mistakes));
    }
    if let Some(mistakes) = &facts.config_rejected {
        found.push(state(Kind::ConfigRejected, "Mistakes", mistakes));
    }
    if !facts.restart_required.is_empty() {
        let keys = facts.restart_required.join(", ");
        let message = format!("changed, and read at the start only: {keys}");
        found.push(state(Kind::RestartRequired, "KeysChanged", &message));
    }
    if facts.runs_as_root {
        found.push(state(Kind::RunsAsRoot, "NoLocalUser", "apps run as root"));
    }
    if facts.cloned_image {
        let message = "the state folder comes from another machine";
        found.push(state(Kind::ClonedImage, "MachineIdChanged", message));
    }
    let doors = [("", &facts.listen_mismatch), ("control", &facts.control_mismatch)];
    for (subject, mismatch) in doors {
        if let Some(mismatch) = mismatch {
            let finding = state(Kind::ListenMismatch, mismatch.reason, &mismatch.message);
            let (subject, action) = (subject.to_owned(), mismatch.action.clone());
            found.push(Finding { subject, action, ..finding });
        }
    }
    if let Some(why) = &facts.certificate_rejected {
        let finding = state(Kind::ConfigRejected, "Certificate", why);
        let action = "Mend the file: it is read again when it changes.".to_owned();
        found.push(Finding { subject: "tls".to_owned(), action, ..finding });
    }
    if let Some(why) = &facts.privileged_silent {
        found.push(state(Kind::PrivilegedSilent, "NoAnswer", why));
    }
    if let Some(why) = &facts.root_access_refused {
        found.push(state(Kind::RootAccessRefused, "NotSet", why));
    }
    if facts.workspace == Workspace::NotLooked {
        found.push(state(Kind::ProbeSilent, "NoAnswer", "the workspace cannot be looked at"));
    }
    if let Workspace::Missing(why) = &facts.workspace {
        found.push(state(Kind::WorkspaceMissing, "NotFound", why));
    }
    if let Some(why) = &facts.state_not_writable {
        found.push(state(Kind::StateNotWritable, "WriteFailed", why));
    }
    found
}

fn app(app: &App) -> Option<Finding> {
    let (kind, reason) = match app.phase {
        AppPhase::Unavailable => (Kind::AppUnavailable, "ProgramNotFound"),
        AppPhase::Failed => (Kind::AppCrashLoop, "EndedTooOften"),
        AppPhase::Backoff => (Kind::AppRestarting, "Ended"),
        AppPhase::Degraded => (Kind::AppNotAnswering, "ProbeFailed"),
        AppPhase::Stopped | AppPhase::Starting | AppPhase::Ready | AppPhase::Stopping => {
            return None;
        }
    };
    Some(Finding {
        kind,
        subject: app.name.clone(),
        truth: Truth::True,
        reason,
        message: app.message.clone(),
        action: kind.explained().remedy.replace("NAME", &app.name),
    })
}

/// The phase, and whether the user can work: phase ready always means that.
///
/// An app that is wanted, does not answer yet and is in no trouble is on its way: starting. One
/// that the user stopped is not wanted.
pub(super) fn phase(facts: &Facts, findings: &[Finding]) -> (Phase, bool) {
    let apps = facts.apps.iter().filter(|app| app.wanted).all(|app| app.phase == AppPhase::Ready);
    let unreachable = facts.listen_mismatch.as_ref().is_some_and(|mismatch| mismatch.unreachable);
    let workspace = matches!(facts.workspace, Workspace::Usable | Workspace::NotLooked);
    let works = facts.config_invalid.is_none() && workspace && !unreachable && apps;
    let degraded =
        || unreachable || findings.iter().any(|finding| finding.kind.explained().degrades);
    let phase = match (facts.stopping, facts.config_invalid.is_some(), works) {
        (true, ..) => Phase::Stopping,
        (_, true, _) => Phase::ConfigError,
        _ if degraded() => Phase::Degraded,
        (.., true) => Phase::Ready,
        _ => Phase::Starting,
    };
    (phase, works && phase != Phase::Stopping)
}

#[cfg(test)]
mod tests {
    use station_proto::time::Time;

    use super::*;

    fn lab(phase: AppPhase) -> App {
        App {
            name: "jupyterlab".into(),
            kind: "jupyterlab".into(),
            phase,
            since: Time::from_ms(0).unwrap(),
            path: "/apps/jupyterlab/".into(),
            wanted: phase != AppPhase::Stopped,
            generation: 1,
            pid: None,
            kernels: Some(2),
            failures: 0,
            next_start: None,
            message: "what happened".into(),
            last_end: None,
            kernel_ends: Vec::new(),
            shares: None,
        }
    }

    fn check(facts: &Facts, phase_expected: Phase, ready: bool, kinds: &[Kind]) {
        let found = findings(facts);
        assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), kinds, "{facts:?}");
        assert_eq!(phase(facts, &found), (phase_expected, ready), "{facts:?}");
    }

    #[test]
    fn an_app_decides_the_phase() {
        let with = |phase| Facts { apps: vec![lab(phase)], ..Facts::default() };
        check(&with(AppPhase::Ready), Phase::Ready, true, &[]);
        check(&with(AppPhase::Stopped), Phase::Ready, true, &[]);
        check(&with(AppPhase::Starting), Phase::Starting, false, &[]);
        check(&with(AppPhase::Backoff), Phase::Degraded, false, &[Kind::AppRestarting]);
        check(&with(AppPhase::Failed), Phase::Degraded, false, &[Kind::AppCrashLoop]);
        check(&with(AppPhase::Degraded), Phase::Degraded, false, &[Kind::AppNotAnswering]);
        check(&with(AppPhase::Unavailable), Phase::Degraded, false, &[Kind::AppUnavailable]);
    }

    #[test]
    fn an_app_on_its_way_is_starting_and_ready_always_means_ready() {
        for on_its_way in [AppPhase::Starting, AppPhase::Stopping, AppPhase::Stopped] {
            let app = App { wanted: true, ..lab(on_its_way) };
            let facts = Facts { apps: vec![app], ..Facts::default() };
            check(&facts, Phase::Starting, false, &[]);
        }
        let stopping = App { wanted: false, ..lab(AppPhase::Stopping) };
        check(&Facts { apps: vec![stopping], ..Facts::default() }, Phase::Ready, true, &[]);
    }

    #[test]
    fn without_its_workspace_a_station_is_degraded_and_not_ready() {
        let ready = Facts { apps: vec![lab(AppPhase::Ready)], ..Facts::default() };
        let missing = Facts { workspace: Workspace::Missing("it is gone".into()), ..ready };
        check(&missing, Phase::Degraded, false, &[Kind::WorkspaceMissing]);
        let ready = Facts { workspace: Workspace::Usable, ..missing };
        let unknown = Facts { workspace: Workspace::Unknown, ..ready.clone() };
        check(&unknown, Phase::Starting, false, &[]);
        let not_looked = Facts { workspace: Workspace::NotLooked, ..ready.clone() };
        check(&not_looked, Phase::Degraded, true, &[Kind::ProbeSilent]);
        let silent = Facts { privileged_silent: Some("no answer".into()), ..ready.clone() };
        check(&silent, Phase::Degraded, true, &[Kind::PrivilegedSilent]);
        let refused = Facts { root_access_refused: Some("no sudo".into()), ..ready };
        check(&refused, Phase::Ready, true, &[Kind::RootAccessRefused]);
    }

    #[test]
    fn another_address_is_a_warning_and_no_listener_keeps_users_out() {
        let mismatch = |unreachable| Facts {
            apps: vec![lab(AppPhase::Ready)],
            listen_mismatch: Some(super::super::Mismatch {
                reason: "AddressDiffers",
                message: "served at another address".into(),
                action: "systemctl edit stationd.socket".into(),
                unreachable,
            }),
            ..Facts::default()
        };
        check(&mismatch(false), Phase::Ready, true, &[Kind::ListenMismatch]);
        check(&mismatch(true), Phase::Degraded, false, &[Kind::ListenMismatch]);
        assert_eq!(findings(&mismatch(true))[0].action, "systemctl edit stationd.socket");
    }

    #[test]
    fn a_warning_does_not_degrade_and_a_broken_configuration_does_more() {
        let ready = Facts { apps: vec![lab(AppPhase::Ready)], ..Facts::default() };
        let root = Facts { runs_as_root: true, ..ready.clone() };
        check(&root, Phase::Ready, true, &[Kind::RunsAsRoot]);
        let invalid = Facts { config_invalid: Some("line 3".into()), ..Facts::default() };
        check(&invalid, Phase::ConfigError, false, &[Kind::ConfigInvalid]);
        let stopping = Facts { stopping: true, ..ready };
        check(&stopping, Phase::Stopping, false, &[]);
    }
}
