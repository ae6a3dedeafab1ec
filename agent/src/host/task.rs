//! Samples on a tick, and publishes.

use std::sync::Arc;

use station_proto::node::Samples;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::sampler::Sampler;

pub(super) async fn run(
    config: Config,
    publish: watch::Sender<Option<Arc<Samples>>>,
    cancel: CancellationToken,
) {
    let mut sampler = Sampler::new(config.disk);
    let mut tick = interval(config.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // cancel-safe: a token loses nothing
            () = cancel.cancelled() => return,
            // cancel-safe: a tick that was not taken comes again
            _ = tick.tick() => {}
        }
        publish.send_replace(Some(Arc::new(sampler.sample())));
    }
}
