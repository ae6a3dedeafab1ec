//! The machine: what is found out about it becomes part of its status, and of the answers.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::probe;
use crate::gpu;
use crate::heartbeat::Facts;
use crate::host::{self, Host, Pace};
use crate::os::machine;
use crate::probe::Heard;
use crate::wiring::edges::{config_to_host, config_to_privileged, host_to_heartbeat};
use crate::wiring::start::Common;

/// Whose findings they are.
const FOUND: &str = "host";

/// Starts to look, and to publish. `kernel` brings what the kernel's log says of the machine.
pub(super) fn follow(
    common: &Common<'_>,
    facts: &watch::Sender<Facts>,
    gpus: gpu::Published,
    kernel: mpsc::Receiver<Heard>,
) -> Host {
    let (outside, cancel) = (common.outside, common.tasks.token());
    let workspace = config_to_privileged::workspace(&common.settled.config, &outside.paths);
    let config = host::Config {
        pace: pace(),
        disks: config_to_host::disks(&outside.paths, &workspace),
        state: outside.paths.state_dir.clone(),
        tools: outside.paths.tools_dir.clone(),
    };
    let driver_cuda = driver_cuda(common, gpus);
    let inputs = host::Inputs { probe: probe(outside), kernel, driver_cuda };
    let host = host::spawn(&common.tasks, config, inputs);
    let (mut findings, to, cancel) = (host.findings.clone(), facts.clone(), cancel.clone());
    common.tasks.part("facts-host", async move {
        loop {
            let latest = findings.borrow_and_update().clone();
            let found: Vec<_> = latest.iter().map(host_to_heartbeat::finding).collect();
            to.send_if_modified(|facts| {
                let changed = facts.found.get(FOUND) != Some(&found);
                facts.found.insert(FOUND, found);
                changed
            });
            match cancel.run_until_cancelled(findings.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    });
    host
}

/// A machine of files, in tests, has its own.
fn pace() -> Pace {
    let Some([sample, look, units, timer]) = machine::pace() else { return Pace::USUAL };
    let ms = Duration::from_millis;
    let timer = (timer > 0).then(|| ms(timer));
    Pace { sample: ms(sample.max(1)), look: ms(look), units: ms(units), timer }
}

/// The CUDA version that the driver serves, as it changes.
fn driver_cuda(common: &Common<'_>, mut gpus: gpu::Published) -> watch::Receiver<Option<String>> {
    let (to, version) = watch::channel(None);
    let cancel = common.tasks.token().clone();
    common.tasks.part("facts-cuda", async move {
        loop {
            let latest = gpus.borrow_and_update().gpus.driver.cuda_version.clone();
            to.send_if_modified(|before| {
                let changed = *before != latest;
                *before = latest;
                changed
            });
            match cancel.run_until_cancelled(gpus.changed()).await {
                Some(Ok(())) => {}
                _ => return,
            }
        }
    });
    version
}
