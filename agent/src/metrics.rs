//! What Prometheus scrapes, as OpenMetrics, or in the older text format.
//!
//! ```text
//!   counters of the proxy, figures of this process ── now ──────────────────┐
//!                                                                           ├─► text ─► /metrics
//!   status, samples, GPUs ──► tables of families ──► bytes, until they change ┘
//! ```
//!
//! A scrape makes the few lines that move by themselves, and sends the others as they are kept: in both
//! formats, plain and as gzip, each made when it is first asked for.
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
mod packed;
mod status;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use station_proto::gpu::Gpus;
use station_proto::heartbeat::Status;
use station_proto::node::Samples;
use station_proto::time::Time;

use self::packed::Packed;

/// Room for the lines that move by themselves.
const NOW: usize = 4096;
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

/// How a scrape wants its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// OpenMetrics; otherwise the format from before.
    pub open: bool,
    pub gzip: bool,
}

/// The answer to a scrape, in pieces that are not copied.
#[derive(Debug)]
pub struct Scraped {
    pub pieces: Vec<Bytes>,
    /// It is compressed, which is asked for and was possible.
    pub gzip: bool,
}

/// The registry of what counts, and the text of what was last shown.
#[derive(Debug)]
pub struct Metrics {
    /// Read anew for each text.
    moving: [Registry; 2],
    shown: Mutex<Option<(Edition, Arc<Kept>)>>,
}

/// One edition's families, in the formats that were asked for.
#[derive(Debug)]
struct Kept {
    open: Format,
    classic: OnceLock<Format>,
}

/// A text, and what it is when compressed.
#[derive(Debug)]
struct Format {
    text: Bytes,
    packed: OnceLock<Option<Packed>>,
}

impl Format {
    fn new(text: String) -> Self {
        Self { text: text.into(), packed: OnceLock::new() }
    }

    fn after(&self, now: String, gzip: bool) -> Scraped {
        let packed = gzip.then(|| self.packed.get_or_init(|| Packed::of(&self.text)).as_ref());
        match packed.flatten() {
            Some(packed) => Scraped { pieces: packed.after(now.as_bytes()).into(), gzip: true },
            None => Scraped { pieces: vec![now.into(), self.text.clone()], gzip: false },
        }
    }
}

impl Metrics {
    /// `counters` is read anew for each text.
    pub fn new(counters: Registry) -> Self {
        let mut own = Registry::default();
        own.register_collector(Box::new(own::Process));
        Self { moving: [own, counters], shown: Mutex::default() }
    }

    /// A registry whose names begin as ours do.
    pub fn registry() -> Registry {
        Registry::with_prefix(PREFIX)
    }

    /// The text of this moment; `shown` is asked if `edition` is another one than before.
    pub fn scrape(
        &self,
        edition: Edition,
        wanted: Wanted,
        shown: impl FnOnce() -> Shown,
    ) -> Scraped {
        let mut now = String::with_capacity(NOW);
        for registry in &self.moving {
            add(&mut now, registry);
        }
        let kept = self.kept(edition, shown);
        if wanted.open {
            return kept.open.after(now, wanted.gzip);
        }
        let of = |text: &Bytes| classic::of(&String::from_utf8_lossy(text));
        let format = kept.classic.get_or_init(|| Format::new(of(&kept.open.text)));
        format.after(classic::of(&now), wanted.gzip)
    }

    fn kept(&self, edition: Edition, shown: impl FnOnce() -> Shown) -> Arc<Kept> {
        let mut last = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, kept)) = &*last
            && *known == edition
        {
            return Arc::clone(kept);
        }
        let mut text = families(shown());
        text.push_str("# EOF\n");
        let kept = Arc::new(Kept { open: Format::new(text), classic: OnceLock::new() });
        *last = Some((edition, Arc::clone(&kept)));
        kept
    }
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
        let mounts = self.samples.as_ref().map(|samples| samples.mounts.as_slice());
        status::encode(&self.status, mounts.unwrap_or_default(), &mut encoder)?;
        if let Some(samples) = &self.samples {
            host::encode(samples, &mut encoder)?;
        }
        gpu::encode(&self.gpus, &mut encoder)
    }
}

#[cfg(test)]
mod tests;
