//! The configuration as the supervision of apps needs it. Pure.

use crate::apps::{Spec, StartOn};
use crate::config::{App, Config, Start};

pub(in crate::wiring) fn specs(config: &Config) -> Vec<Spec> {
    let start = |start| match start {
        Start::Boot => StartOn::Boot,
        Start::OnDemand => StartOn::Demand,
    };
    let spec = |app: &App| Spec {
        name: app.name.clone(),
        start: start(app.start),
        idle_stop: app.idle_stop,
        shares: app.shares.clone(),
    };
    config.apps.iter().map(spec).collect()
}
