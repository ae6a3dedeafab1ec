//! Pure: findings and what was known before become the status that goes out.

use station_proto::condition::Condition;
use station_proto::heartbeat::{Lease, Status};
use station_proto::time::Time;

use super::Facts;
use super::judge::{self, Finding};
use crate::base::moment::Moment;

/// The status of `facts`; whatever held before keeps its `since`. `seq` stays the old one.
pub(super) fn status(facts: &Facts, before: &Status, now: Moment) -> Status {
    let findings = judge::findings(facts);
    let (phase, ready) = judge::phase(facts, &findings);
    Status {
        seq: before.seq,
        phase,
        ready,
        since: if phase == before.phase { before.since } else { Time(now.wall) },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: facts.name.clone(),
        public_url: facts.public_url.clone(),
        conditions: findings.into_iter().map(|one| condition(one, before, now)).collect(),
        apps: facts.apps.clone(),
        mounts: facts.mounts.clone(),
        gpus: facts.gpus.clone(),
    }
}

fn condition(finding: Finding, before: &Status, now: Moment) -> Condition {
    let Finding { kind, subject, truth, reason, message, action } = finding;
    let kind = kind.name().to_owned();
    let since = before
        .conditions
        .iter()
        .find(|old| old.kind == kind && old.subject == subject && old.status == truth)
        .map_or(Time(now.wall), |old| old.since);
    Condition { kind, subject, status: truth, reason: reason.to_owned(), message, action, since }
}

/// What appeared and what went, by type and subject.
pub(super) fn difference<'a>(
    before: &'a [Condition],
    after: &'a [Condition],
) -> (Vec<&'a Condition>, Vec<&'a Condition>) {
    let missing_from = |list: &'a [Condition], other: &'a [Condition]| {
        list.iter()
            .filter(|one| {
                !other.iter().any(|two| (&two.kind, &two.subject) == (&one.kind, &one.subject))
            })
            .collect()
    };
    (missing_from(after, before), missing_from(before, after))
}

/// The weak entity tag of a status: RFC 9110, section 8.8.3.
pub fn etag(boot_id: &str, seq: u64) -> String {
    format!("W/\"{boot_id}-{seq}\"")
}

/// Proof of life at `now`.
pub fn lease(
    instance_id: &str,
    boot_id: &str,
    status: &Status,
    started: Moment,
    now: Moment,
) -> Lease {
    Lease {
        instance_id: instance_id.to_owned(),
        boot_id: boot_id.to_owned(),
        at: Time(now.wall),
        uptime_ms: u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX),
        seq: status.seq,
        phase: status.phase,
        ready: status.ready,
    }
}

#[cfg(test)]
mod tests {
    use station_proto::heartbeat::Phase;

    use super::*;

    fn empty() -> Status {
        let now = Moment::at_ms(0);
        let nothing = Status {
            seq: 4,
            phase: Phase::Starting,
            ready: false,
            since: Time(now.wall),
            version: String::new(),
            name: String::new(),
            public_url: String::new(),
            conditions: Vec::new(),
            apps: Vec::new(),
            mounts: Vec::new(),
            gpus: Vec::new(),
        };
        status(&Facts::default(), &nothing, now)
    }

    #[test]
    fn since_stays_while_the_condition_stays() {
        let root = Facts { runs_as_root: true, ..Facts::default() };
        let first = status(&root, &empty(), Moment::at_ms(1000));
        let second = status(&root, &first, Moment::at_ms(9000));
        assert_eq!(first.conditions, second.conditions);
        let gone = status(&Facts::default(), &second, Moment::at_ms(10_000));
        let (set, cleared) = difference(&second.conditions, &gone.conditions);
        assert_eq!((set.len(), cleared.len()), (0, 1));
    }

    #[test]
    fn the_phase_keeps_its_own_since() {
        let first = empty();
        let stopping = Facts { stopping: true, ..Facts::default() };
        let second = status(&stopping, &first, Moment::at_ms(5000));
        assert_eq!(second.since, Time::from_ms(5000).unwrap());
        assert_eq!(status(&stopping, &second, Moment::at_ms(7000)).since, second.since);
    }
}
