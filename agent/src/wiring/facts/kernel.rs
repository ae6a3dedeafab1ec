//! The kernel's log: read once, opened again whenever it ends, and passed on to whom a line is about.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::chain::Chain;
use crate::os::machine::kmsg::Record;
use crate::probe::{Heard, Probe, Topic};
use crate::wiring::start::Common;

/// Before the log is opened again.
const AGAIN: Duration = Duration::from_secs(60);
/// Lines that wait.
const LINES: usize = 64;
const TOPICS: [Topic; 3] = [Topic::Gpu, Topic::OutOfMemory, Topic::FileSystem];

/// What the log says of GPUs, and of the rest of the machine.
pub(super) fn follow(
    common: &Common<'_>,
    probe: Probe,
) -> (mpsc::Receiver<Record>, mpsc::Receiver<Heard>) {
    let (gpus, of_gpus) = mpsc::channel(LINES);
    let (rest, of_rest) = mpsc::channel(LINES);
    let cancel = common.tasks.token().clone();
    common.tasks.work(async move {
        cancel.run_until_cancelled(read(probe, gpus, rest)).await;
    });
    (of_gpus, of_rest)
}

/// Until nobody listens; what was heard before the log ended is left out.
async fn read(probe: Probe, gpus: mpsc::Sender<Record>, rest: mpsc::Sender<Heard>) {
    let mut heard = None;
    loop {
        let before = heard;
        match probe.kernel_log(&TOPICS).await {
            Ok(mut log) => {
                while let Ok(news) = log.next().await {
                    if let Heard::Line { record, .. } = &news {
                        if before.is_some_and(|at| record.at <= at) {
                            continue;
                        }
                        heard = Some(record.at);
                    }
                    let told = match news {
                        Heard::Line { topic: Topic::Gpu, record } => {
                            gpus.send(record).await.is_ok()
                        }
                        news => rest.send(news).await.is_ok(),
                    };
                    if !told {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the kernel's log is not read");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
