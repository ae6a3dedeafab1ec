//! GPUs: what is found out about them becomes part of the machine's status.

use std::pin::pin;
use std::sync::Arc;

use station_proto::gpu::DriverState;
use tokio::sync::{mpsc, watch};

use super::{kernel, probe};
use crate::gpu;
use crate::heartbeat::Facts;
use crate::os::machine::kmsg::Record;
use crate::probe::{Heard, Probe, Topic};
use crate::wiring::edges::gpu_to_heartbeat;
use crate::wiring::start::Common;

/// Whose findings they are.
const FOUND: &str = "gpu";
/// Lines of the kernel's log that wait.
const LINES: usize = 64;

/// Starts to look, and to publish.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>) -> gpu::Handle {
    let (tell, told) = mpsc::channel(LINES);
    let cancel = common.tasks.token().clone();
    let probe = probe(common.outside);
    let handle = gpu::spawn(&common.tasks, probe.clone(), told);
    let log = kernel_log(probe, handle.seen.clone(), tell);
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
                let changed = facts.gpus != summaries || facts.found.get(FOUND) != Some(&found);
                facts.gpus = summaries;
                facts.found.insert(FOUND, found);
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

/// Passes on what the driver writes into the kernel's log, where that can be read.
async fn kernel_log(probe: Probe, mut seen: gpu::Published, tell: mpsc::Sender<Record>) {
    // A machine without a GPU has nobody who reads on.
    let there = |seen: &Arc<gpu::Seen>| {
        !matches!(seen.gpus.driver.state, DriverState::Absent | DriverState::Unknown)
    };
    if seen.wait_for(there).await.is_err() {
        return;
    }
    let (lines, mut heard) = mpsc::channel(1);
    let pass_on = async {
        while let Some(news) = heard.recv().await {
            // What was lost the driver tells by its counters.
            if let Heard::Line { record, .. } = news
                && tell.send(record).await.is_err()
            {
                return;
            }
        }
    };
    let follow = kernel::follow(probe, &[Topic::Gpu], lines);
    futures_util::future::select(pin!(follow), pin!(pass_on)).await;
}
