//! The configuration as the supervision of apps needs it. Pure.

use crate::apps::{Spec, StartOn};
use crate::config::{Config, Start};

pub(in crate::wiring) fn specs(config: &Config) -> Vec<Spec> {
    let start = |start| match start {
        Start::Boot => StartOn::Boot,
        Start::OnDemand => StartOn::Demand,
    };
    config.apps.iter().map(|app| Spec { name: app.name.clone(), start: start(app.start) }).collect()
}
