//! What Prometheus scrapes, as OpenMetrics, or in the older text format.
//!
//! ```text
//!   counters of the proxy, figures of this process ── now ──────────────────┐
//!                                                                           ├─► text ─► /metrics
//!   status, samples, GPUs ──► tables of families ──► text, until they change ┘
//! ```
//!
//! Names and units follow <https://prometheus.io/docs/practices/naming/>: base units, `_total` for what
//! only grows, labels that do not change while a thing is what it is. What could not be read is
//! absent. A name, once released, stays.
//!
//! Limits: no series per process or kernel; at most about 90 for a GPU.

mod classic;
mod family;
mod gpu;
pub mod history;
mod host;
mod own;
mod status;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use station_proto::gpu::Gpus;
use station_proto::heartbeat::Status;
use station_proto::node::Samples;
use station_proto::time::Time;

/// Before every name but those of the process itself.
const PREFIX: &str = "stationd";

/// What the text is made of.
#[derive(Debug, Clone)]
pub struct Shown {
    pub status: Arc<Status>,
    /// Absent before they were first taken.
    pub samples: Option<Arc<Samples>>,
    pub gpus: Gpus,
}

/// Tells whether something has changed: the status' number, and when samples and GPUs were read.
pub type Edition = (u64, Option<Time>, Option<Time>);

/// The registry of what counts, and the text of what was last shown.
#[derive(Debug)]
pub struct Metrics {
    counters: Registry,
    shown: Mutex<Option<(Edition, String)>>,
}

impl Metrics {
    /// `counters` is read anew for each text.
    pub fn new(counters: Registry) -> Self {
        Self { counters, shown: Mutex::default() }
    }

    /// A registry whose names begin as ours do.
    pub fn registry() -> Registry {
        Registry::with_prefix(PREFIX)
    }

    /// The text of this moment; `shown` is asked if `edition` is another one than before.
    pub fn text(&self, edition: Edition, shown: impl FnOnce() -> Shown) -> String {
        let mut text = String::new();
        let mut own = Registry::default();
        own.register_collector(Box::new(own::Process));
        add(&mut text, &own);
        add(&mut text, &self.counters);
        let mut last = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.take().filter(|(known, _)| *known == edition);
        let (_, families) = last.insert(known.unwrap_or_else(|| (edition, families(shown()))));
        text.push_str(families);
        drop(last);
        text.push_str("# EOF\n");
        text
    }
}

/// What [`Metrics::text`] gave, in the text format from before OpenMetrics.
pub fn classic(text: &str) -> String {
    classic::of(text)
}

/// Everything that changes with the edition.
fn families(shown: Shown) -> String {
    let mut text = String::new();
    let mut registry = Metrics::registry();
    registry.register_collector(Box::new(shown));
    add(&mut text, &registry);
    text
}

fn add(text: &mut String, registry: &Registry) {
    if text::encode_registry(text, registry).is_err() {
        tracing::warn!("metrics could not be written");
    }
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        status::encode(&self.status, &mut encoder)?;
        if let Some(samples) = &self.samples {
            host::encode(samples, &mut encoder)?;
        }
        gpu::encode(&self.gpus, &mut encoder)
    }
}

#[cfg(test)]
mod tests;
