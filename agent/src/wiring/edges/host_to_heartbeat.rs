//! What is wrong with the machine becomes part of its status. Pure.

use crate::{heartbeat, host};

pub(in crate::wiring) fn finding(found: &host::Finding) -> heartbeat::Finding {
    heartbeat::Finding {
        kind: found.kind,
        subject: found.subject.clone(),
        truth: found.truth,
        reason: found.reason,
        message: found.message.clone(),
        action: found.action.clone(),
    }
}
