//! What is wrong with a share becomes part of the machine's status; whether apps have something to stand on.
//! Pure.

use station_proto::condition::Truth;
use station_proto::mount::MountPhase;

use crate::heartbeat::{self, Workspace};
use crate::mount::Seen;
use crate::mount::view::{self, Finding};

pub(in crate::wiring) fn finding(found: Finding) -> heartbeat::Finding {
    heartbeat::Finding {
        kind: found.kind,
        subject: found.share,
        truth: Truth::True,
        reason: found.reason,
        message: found.message,
        action: found.action,
    }
}

/// Whether the user can work on the share: one that comes up for the first time is not known yet.
pub(in crate::wiring) fn workspace(seen: &Seen) -> Workspace {
    let phase = view::mount(seen).phase;
    let begins =
        matches!(phase, MountPhase::Unknown | MountPhase::Preparing | MountPhase::Starting);
    match (seen.ready(), begins && seen.silent.is_none()) {
        (true, _) => Workspace::Usable,
        (false, true) => Workspace::Unknown,
        (false, false) => Workspace::Away,
    }
}
