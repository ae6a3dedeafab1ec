//! The kernel's log, opened again whenever it ends.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::chain::Chain;
use crate::probe::{Heard, Probe, Topic};

/// Before the log is opened again.
const AGAIN: Duration = Duration::from_secs(60);

/// Passes on what the log says on `topics`, until nobody listens; what was heard before the log ended
/// is left out.
pub(super) async fn follow(probe: Probe, topics: &[Topic], tell: mpsc::Sender<Heard>) {
    let mut heard = None;
    loop {
        let before = heard;
        match probe.kernel_log(topics).await {
            Ok(mut log) => {
                while let Ok(news) = log.next().await {
                    if let Heard::Line { record, .. } = &news {
                        if before.is_some_and(|at| record.at <= at) {
                            continue;
                        }
                        heard = Some(record.at);
                    }
                    if tell.send(news).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::debug!(error = %Chain(&error), ?topics, "the kernel's log is not read");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
