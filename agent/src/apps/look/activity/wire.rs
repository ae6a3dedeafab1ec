//! The same in the types of the wire. Pure.

use station_proto::app::{ActivitySource, ActivityState, SourceKind};
use station_proto::time::Time;

use super::{Source, State, What};

pub(in crate::apps) fn source(source: Source) -> ActivitySource {
    ActivitySource {
        kind: match source.what {
            What::Kernel => SourceKind::Kernel,
            What::Terminal => SourceKind::Terminal,
            What::Session => SourceKind::RSession,
            What::Processes => SourceKind::Processes,
            What::Use => SourceKind::Use,
        },
        name: source.name,
        state: state(source.state),
        since: source.since.map(Time),
        evidence: source.evidence,
    }
}

pub(in crate::apps) fn state(state: State) -> ActivityState {
    match state {
        State::Active => ActivityState::Active,
        State::Idle => ActivityState::Idle,
        State::Unknown => ActivityState::Unknown,
    }
}
