//! The station's own state, its conditions, apps and mounts.

mod mount;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use station_proto::app::{App, AppPhase};
use station_proto::condition::Truth;
use station_proto::heartbeat::{Phase, Status};
use station_proto::mount::MountSample;

use super::family::{Figure, counter, family, gauge};

const STATION: &[Figure<Status>] = &[
    gauge("ready", None, "Whether the user can work: every wanted app answers", |one| {
        Some(f64::from(one.ready))
    }),
    gauge(
        "status_change_timestamp",
        Some("seconds"),
        "Since when the phase has been what it is",
        |one| Some(seconds(one.since.as_ms())),
    ),
];

const APPS: &[Figure<App>] = &[
    gauge("app_ready", None, "Whether the app runs and answers", |app| {
        Some(f64::from(app.phase == AppPhase::Ready))
    }),
    gauge("app_wanted", None, "Whether the app should be running", |app| {
        Some(f64::from(app.wanted))
    }),
    gauge("app_kernels", None, "Kernels that a stop would end", |app| app.kernels.map(f64::from)),
    gauge(
        "app_failures",
        None,
        "Unwanted ends since the app was last ready for five minutes",
        |app| Some(f64::from(app.failures)),
    ),
    counter("app_starts", None, "Starts of the app since it was configured", |app| {
        Some(super::host::whole(app.generation))
    }),
];

const PHASES: [(Phase, &str); 6] = [
    (Phase::Starting, "starting"),
    (Phase::Ready, "ready"),
    (Phase::Degraded, "degraded"),
    (Phase::ConfigError, "config-error"),
    (Phase::StartScriptFailed, "start-script-failed"),
    (Phase::Stopping, "stopping"),
];

pub(super) fn encode(
    status: &Status,
    mounts: &[MountSample],
    encoder: &mut DescriptorEncoder<'_>,
) -> std::fmt::Result {
    for figure in STATION {
        figure.encode(std::iter::once((Vec::new(), status)), encoder)?;
    }
    let phases = PHASES
        .iter()
        .map(|(phase, name)| (vec![("phase", *name)], f64::from(*phase == status.phase)));
    let what = ("phase", None, "What stationd as a whole is doing: 1 for the phase it is in");
    family(what, MetricType::Gauge, phases, encoder)?;
    conditions(status, encoder)?;
    for figure in APPS {
        let all = status.apps.iter().map(|app| (vec![("app", app.name.as_str())], app));
        figure.encode(all, encoder)?;
    }
    mount::encode(&status.mounts, mounts, encoder)
}

fn conditions(status: &Status, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let series = status.conditions.iter().map(|one| {
        let truth = match one.status {
            Truth::True => "true",
            Truth::False => "false",
            Truth::Unknown => "unknown",
        };
        let labels = vec![
            ("type", one.kind.as_str()),
            ("subject", one.subject.as_str()),
            ("reason", one.reason.as_str()),
            ("status", truth),
        ];
        (labels, 1.0)
    });
    let what = ("condition", None, "Something that is wrong, or of which it is not known: 1 each");
    family(what, MetricType::Gauge, series, encoder)
}

/// Milliseconds of a clock in seconds.
#[expect(clippy::cast_precision_loss, reason = "exact for the next 285,000 years")]
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
