//! What is measured becomes metrics, and a history of a few figures.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;
use station_proto::history::History as Remembered;
use station_proto::node::Samples;
use tokio::sync::watch;

use crate::base::tasks::Tasks;
use crate::gpu;
use crate::metrics::history::{self, History};
use crate::metrics::{Metrics, Scraped, Shown, Wanted};
use crate::mount::{Seen, view};
use crate::os::clock;
use crate::wiring::start::Shown as Published;

/// What the figures are read from, and where they are kept; clones share it.
#[derive(Clone)]
pub(in crate::wiring) struct Recorder {
    published: Published,
    gpus: gpu::Published,
    mounts: watch::Receiver<Arc<Vec<Seen>>>,
    metrics: Arc<Metrics>,
    history: Arc<Mutex<History>>,
}

impl Recorder {
    pub(in crate::wiring) fn new(
        counters: Registry,
        published: Published,
        gpus: gpu::Published,
        mounts: watch::Receiver<Arc<Vec<Seen>>>,
    ) -> Self {
        let metrics = Arc::new(Metrics::new(counters));
        Self { published, gpus, mounts, metrics, history: Arc::default() }
    }

    /// Remembers every sample from now on.
    pub(in crate::wiring) fn spawn(&self, tasks: &Tasks) {
        let (recorder, cancel) = (self.clone(), tasks.token().clone());
        let mut samples = self.published.samples.clone();
        tasks.part("history", async move {
            while let Some(Ok(())) = cancel.run_until_cancelled(samples.changed()).await {
                let latest = samples.borrow_and_update().clone();
                let figures = latest
                    .map(|samples| history::figures(&samples, &recorder.gpus.borrow().gpus))
                    .unwrap_or_default();
                let mut history = recorder.history.lock().unwrap_or_else(PoisonError::into_inner);
                history.add(clock::now(), figures);
            }
        });
    }

    /// The text that Prometheus reads.
    pub(in crate::wiring) fn scrape(&self, wanted: Wanted) -> Scraped {
        let status = self.published.status.borrow().clone();
        let samples = self.published.samples.borrow().clone();
        let seen = self.gpus.borrow().clone();
        let edition = (status.seq, samples.as_ref().map(|one| one.at), seen.gpus.at);
        let shown = || {
            let mounts = self.mounts.borrow().iter().map(view::sample).collect();
            let with = |samples: Arc<Samples>| Samples { mounts, ..Samples::clone(&samples) };
            let samples = samples.map(with).map(Arc::new);
            Shown { status, samples, gpus: seen.gpus.clone() }
        };
        self.metrics.scrape(edition, wanted, shown)
    }

    pub(in crate::wiring) fn history(&self, steps: usize) -> Remembered {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.shown(clock::now(), steps)
    }
}
