//! GPUs: what is found out about them becomes part of the machine's status.

use std::sync::Arc;
use std::time::Duration;

use station_proto::gpu::DriverState;
use tokio::sync::{mpsc, watch};

use super::probe;
use crate::base::chain::Chain;
use crate::gpu;
use crate::heartbeat::Facts;
use crate::os::machine::kmsg::Record;
use crate::probe::Probe;
use crate::wiring::edges::gpu_to_heartbeat;
use crate::wiring::start::Common;

/// Lines of the kernel's log that wait.
const LINES: usize = 64;
/// Before the log is opened again.
const AGAIN: Duration = Duration::from_secs(60);

/// Starts to look, and to publish.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>) -> gpu::Handle {
    let (tell, told) = mpsc::channel(LINES);
    let cancel = common.tasks.token().clone();
    let probe = probe(common.outside);
    let handle = gpu::spawn(&common.tasks, probe.clone(), told);
    let log = kernel(probe, handle.seen.clone(), tell);
    common.tasks.work(async move {
        cancel.run_until_cancelled(log).await;
    });
    let (mut seen, to, cancel) = (handle.seen.clone(), facts.clone(), common.tasks.token().clone());
    common.tasks.part("facts-gpus", async move {
        loop {
            let latest = seen.borrow_and_update().clone();
            let summaries: Vec<_> =
                latest.gpus.gpus.iter().map(|gpu| gpu.summary.clone()).collect();
            let found: Vec<_> = latest.findings.iter().map(gpu_to_heartbeat::finding).collect();
            to.send_if_modified(|facts| {
                let changed = facts.gpus != summaries || facts.found != found;
                (facts.gpus, facts.found) = (summaries, found);
                changed
            });
            match cancel.run_until_cancelled(seen.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    });
    handle
}

/// Passes on what the driver writes into the kernel's log, where that can be read; after an end it is
/// opened anew, and what was heard already is left out.
async fn kernel(probe: Probe, mut seen: gpu::Published, tell: mpsc::Sender<Record>) {
    // A machine without a GPU has nobody who reads on.
    let there = |seen: &Arc<gpu::Seen>| {
        !matches!(seen.gpus.driver.state, DriverState::Absent | DriverState::Unknown)
    };
    if seen.wait_for(there).await.is_err() {
        return;
    }
    let mut heard = None;
    loop {
        let before = heard;
        match probe.kernel_log().await {
            Ok(mut log) => {
                while let Ok(record) = log.next().await {
                    if before.is_some_and(|at| record.at <= at) {
                        continue;
                    }
                    heard = Some(record.at);
                    if tell.send(record).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "Xids come from the driver alone");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
