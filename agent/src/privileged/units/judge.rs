//! From what PID 1 and the files say to what there is of an app. Pure.

use crate::privileged::Looked;
use crate::privileged::keeper::files::{Exit, Kept};

/// `ActiveState` of org.freedesktop.systemd1(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActiveState {
    Activating,
    Active,
    Deactivating,
    /// Not running: inactive, failed, or a state that came with a later release.
    Over,
}

impl ActiveState {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "activating" => Self::Activating,
            "active" | "reloading" | "refreshing" | "maintenance" => Self::Active,
            "deactivating" => Self::Deactivating,
            _ => Self::Over,
        }
    }

    /// Whether a process of it may exist.
    pub(super) fn exists(self) -> bool {
        self != Self::Over
    }
}

/// What PID 1 says of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: ActiveState,
    /// Names one run of the unit.
    pub(super) invocation: String,
}

/// What there is of an app. A run that PID 1 knows is the one that was written down only if both
/// name the same invocation.
pub(super) fn look(
    kept: Option<Kept>,
    exit: Option<Exit>,
    seen: Option<&Seen>,
    boot: &str,
) -> Looked {
    let Some(kept) = kept else { return Looked::Nothing };
    let generation = kept.generation;
    if kept.app.boot_id != boot {
        // An end that nobody asked for is the machine's own stop: PID 1 ends every unit then.
        return match exit.filter(|exit| exit.unit == kept.unit && exit.asked.is_some()) {
            Some(exit) => Looked::Ended(exit),
            None => Looked::OtherBoot { generation },
        };
    }
    let same = seen.filter(|seen| kept.invocation.as_deref() == Some(seen.invocation.as_str()));
    match same.map(|seen| seen.state) {
        Some(ActiveState::Activating | ActiveState::Active) => return Looked::Running(kept),
        Some(ActiveState::Deactivating) => return Looked::Ending(kept),
        Some(ActiveState::Over) | None => {}
    }
    match exit.filter(|exit| exit.unit == kept.unit) {
        Some(exit) => Looked::Ended(exit),
        None => Looked::Lost { generation },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::process::ProcessId;
    use crate::privileged::keeper::files::StopBy;

    fn kept() -> Kept {
        let process = |pid| ProcessId { pid, start_ticks: 1, boot_id: "now".into() };
        Kept {
            version: 1,
            keeper: process(1),
            app: process(42),
            generation: 3,
            unit: "system/a/3".into(),
            spec: String::new(),
            started_at: 0,
            invocation: Some("ab".into()),
        }
    }

    fn exit(unit: &str) -> Exit {
        Exit {
            version: 1,
            generation: 3,
            unit: unit.into(),
            code: Some(0),
            signal: None,
            at: 0,
            ran_ms: 0,
            asked: None,
            forced: false,
            dropped_bytes: 0,
            killed: 0,
            left: 0,
        }
    }

    #[test]
    fn what_there_is_of_an_app() {
        use ActiveState::{Activating, Active, Deactivating, Over};
        let seen = |state, invocation: &str| Some(Seen { state, invocation: invocation.into() });
        let ours = || Some(exit("system/a/3"));
        let stopped = || Exit { asked: Some(StopBy::User), ..exit("system/a/3") };
        let table = [
            (seen(Active, "ab"), None, "now", Looked::Running(kept())),
            (seen(Activating, "ab"), None, "now", Looked::Running(kept())),
            // Its note is written while it ends: it has not ended before PID 1 says so.
            (seen(Deactivating, "ab"), ours(), "now", Looked::Ending(kept())),
            (seen(Over, "ab"), ours(), "now", Looked::Ended(exit("system/a/3"))),
            (None, ours(), "now", Looked::Ended(exit("system/a/3"))),
            (None, Some(exit("system/a/2")), "now", Looked::Lost { generation: 3 }),
            (None, None, "now", Looked::Lost { generation: 3 }),
            // Somebody restarted the unit: our run is over.
            (seen(Active, "cd"), ours(), "now", Looked::Ended(exit("system/a/3"))),
            (seen(Active, "cd"), None, "now", Looked::Lost { generation: 3 }),
            (None, None, "later", Looked::OtherBoot { generation: 3 }),
            (None, ours(), "later", Looked::OtherBoot { generation: 3 }),
            (None, Some(stopped()), "later", Looked::Ended(stopped())),
        ];
        for (seen, exit, boot, expected) in table {
            assert_eq!(look(Some(kept()), exit.clone(), seen.as_ref(), boot), expected, "{seen:?}");
        }
        assert_eq!(look(None, ours(), seen(Active, "ab").as_ref(), "now"), Looked::Nothing);
    }
}
