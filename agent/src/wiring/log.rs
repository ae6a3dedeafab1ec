//! Structured logs on standard error; the level changes live.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::model::{Format, Log};

/// Changes what is logged while the daemon runs.
#[derive(Debug, Clone)]
pub(super) struct Levels(Handle<EnvFilter, Registry>);

/// Starts to log. `RUST_LOG` overrides the configured level.
pub(super) fn start(log: Log) -> Levels {
    let (filter, handle) = reload::Layer::new(filter(log));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match log.format {
        Format::Text => lines.with_ansi(is_terminal()).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second call (in a test, say) keeps the first subscriber.
    let registry = tracing_subscriber::registry().with(filter).with(lines);
    registry.try_init().unwrap_or_default();
    Levels(handle)
}

impl Levels {
    pub(super) fn set(&self, log: Log) {
        if let Err(error) = self.0.reload(filter(log)) {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }
}

fn filter(log: Log) -> EnvFilter {
    EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| EnvFilter::new(format!("{},hyper=warn", log.level.as_str())))
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
