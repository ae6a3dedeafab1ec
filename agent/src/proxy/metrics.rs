//! What the proxy counts. Counters are made once, so that a request only adds to them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The proxy's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The app answered.
    pub(super) answered: Counter,
    /// The app was not running, and a page said so.
    pub(super) unavailable: Counter,
    /// The app should have answered and did not.
    pub(super) failed: Counter,
    pub(super) connect_errors: Counter,
    pub(super) bytes_to_client: Counter,
    pub(super) bytes_to_app: Counter,
    pub(super) tunnels: Gauge,
}

impl Metrics {
    /// Registers the metrics in the registry handed over, which carries the prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<Outcome, Counter>::default();
        let of = |outcome| requests.get_or_create(&Outcome { outcome }).clone();
        let metrics = Self {
            answered: of("answered"),
            unavailable: of("unavailable"),
            failed: of("failed"),
            connect_errors: Counter::default(),
            bytes_to_client: Counter::default(),
            bytes_to_app: Counter::default(),
            tunnels: Gauge::default(),
        };
        registry.register("requests", "Requests to apps by what became of them", requests);
        registry.register(
            "connect_errors",
            "Connections to an app's socket that failed",
            metrics.connect_errors.clone(),
        );
        registry.register_with_unit(
            "to_client",
            "Bytes of bodies and websockets sent to clients",
            Unit::Bytes,
            metrics.bytes_to_client.clone(),
        );
        registry.register_with_unit(
            "to_app",
            "Bytes of bodies and websockets sent to apps",
            Unit::Bytes,
            metrics.bytes_to_app.clone(),
        );
        registry.register("tunnels", "Open websockets", metrics.tunnels.clone());
        metrics
    }

    /// Websockets that are open now.
    pub fn open_tunnels(&self) -> i64 {
        self.tunnels.get()
    }
}
