//! GPUs: what is found out about them becomes part of the machine's status.

use tokio::sync::{mpsc, watch};

use super::probe;
use crate::gpu;
use crate::heartbeat::Facts;
use crate::os::machine::kmsg::{Kmsg, Record};
use crate::wiring::edges::gpu_to_heartbeat;
use crate::wiring::start::Common;

/// Lines of the kernel's log that wait.
const LINES: usize = 64;

/// Starts to look, and to publish.
pub(super) fn follow(common: &Common<'_>, facts: &watch::Sender<Facts>) -> gpu::Handle {
    let (tell, told) = mpsc::channel(LINES);
    let cancel = common.tasks.token().clone();
    common.tasks.work(async move {
        cancel.run_until_cancelled(kernel(tell)).await;
    });
    let handle = gpu::spawn(&common.tasks, probe(common.outside), told);
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

/// Passes on what the driver writes into the kernel's log, where that can be read.
async fn kernel(tell: mpsc::Sender<Record>) {
    let mut log = match Kmsg::open() {
        Ok(log) => log,
        Err(error) => {
            tracing::debug!(%error, "the kernel's log cannot be read: Xids come from the driver alone");
            return;
        }
    };
    loop {
        match log.next(|text| text.contains("NVRM: ") || text.contains("SXid")).await {
            Ok(record) => {
                if tell.send(record).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the kernel's log is not read any more");
                return;
            }
        }
    }
}
