//! What the supervision knows of an app, as it goes over the wire. Pure.

use station_proto::app::App;
use station_proto::time::Time;

use crate::apps::Seen;

pub(in crate::wiring) fn app(seen: &Seen) -> App {
    let message = if seen.restart_pending {
        format!("{}; it runs as an older configuration says until it is restarted", seen.message)
    } else {
        seen.message.clone()
    };
    App {
        name: seen.name.to_string(),
        kind: seen.kind.to_owned(),
        phase: seen.phase,
        since: Time(seen.since.wall),
        path: seen.open.clone(),
        wanted: seen.wanted,
        generation: seen.generation,
        pid: seen.pid,
        kernels: seen.activity.map(|activity| activity.kernels),
        failures: seen.failures,
        next_start: seen.next_start,
        message,
        last_end: seen.last_end.clone(),
        kernel_ends: seen.kernel_ends.clone(),
        shares: seen.shares.as_ref().map(ToString::to_string),
    }
}
