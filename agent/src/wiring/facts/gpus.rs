//! GPUs: what is found out about them becomes part of the machine's status.

use tokio::sync::{mpsc, watch};

use super::probe;
use crate::gpu;
use crate::heartbeat::Facts;
use crate::os::machine::kmsg::Record;
use crate::wiring::edges::{config_to_gpu, gpu_to_heartbeat};
use crate::wiring::start::Common;

/// Whose findings they are.
const FOUND: &str = "gpu";

/// Starts to look, and to publish. `kernel` brings what the kernel's log says of GPUs.
pub(super) fn follow(
    common: &Common<'_>,
    facts: &watch::Sender<Facts>,
    kernel: mpsc::Receiver<Record>,
) -> gpu::Handle {
    let config = config_to_gpu::config(&common.settled.config);
    let handle = gpu::spawn(&common.tasks, config, probe(common.outside), kernel);
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
