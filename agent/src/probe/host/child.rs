//! The process that looks at the machine each time it is asked.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::{Ask, Disk, Kept, LIMIT, Said, Units, cuda, files, node};
use crate::base::chain::Chain;
use crate::os::machine::clock;
use crate::os::machine::disk;
use crate::os::systemd::look::{self, LookError};
use crate::probe::lasting::{self, say};

/// How long systemd may take to answer.
const SYSTEMD: Duration = Duration::from_secs(2);
/// A disk that has not answered by then holds this process, and whoever asked has given it up.
const LATE: Duration = LIMIT.saturating_mul(2);

/// `stationd probe host`: each line of its input says what to look at.
pub fn run() -> ExitCode {
    let mut disks = Disks::default();
    lasting::answers(|line| {
        let ask: Ask = serde_json::from_str(line)?;
        disks.begin(&ask.disks);
        say(&Said::Files(Box::new(files::read(&ask))))?;
        if ask.more.node {
            say(&Said::Node(Box::new(node::read())))?;
            if clock::kept().is_none() {
                say(&Said::Clock(clock()))?;
            }
        }
        if ask.more.units {
            say(&Said::Units(units()))?;
        }
        if ask.more.cuda {
            say(&Said::Cuda(cuda::read(ask.tools.as_deref())))?;
        }
        disks.end(ask.disks.len())
    })
}

/// A thread for each disk: what hangs on one must not hide the others.
struct Disks {
    threads: HashMap<PathBuf, Sender<()>>,
    ended: Receiver<()>,
    tell: Sender<()>,
}

impl Default for Disks {
    fn default() -> Self {
        let (tell, ended) = channel();
        Self { threads: HashMap::new(), ended, tell }
    }
}

impl Disks {
    fn begin(&mut self, disks: &[PathBuf]) {
        for path in disks {
            let tell = &self.tell;
            let thread = self.threads.entry(path.clone()).or_insert_with(|| {
                let (asks, asked) = channel();
                let (path, tell) = (path.clone(), tell.clone());
                std::thread::spawn(move || look_at(&path, &asked, &tell));
                asks
            });
            // A thread that panicked says nothing: its disk counts as silent.
            thread.send(()).unwrap_or_default();
        }
    }

    /// Waits for so many of them.
    fn end(&self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.ended.recv_timeout(LATE).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

fn look_at(path: &Path, asked: &Receiver<()>, tell: &Sender<()>) {
    while asked.recv().is_ok() {
        let disk = match disk::space(path) {
            Ok(space) => Disk::Space(space),
            Err(error) => Disk::Failed(error.to_string()),
        };
        // Without a listener the process ends by itself.
        say(&Said::Disk { path: path.to_owned(), disk }).unwrap_or_default();
        tell.send(()).unwrap_or_default();
    }
}

/// Asks systemd; `Err` says why that is not possible.
fn ask<T>(question: impl Future<Output = Result<T, LookError>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(question).map_err(|error| Chain(&error).to_string())
}

fn units() -> Units {
    match ask(look::failed(SYSTEMD)) {
        Ok(None) => Units::None,
        Ok(Some(names)) => Units::Failed(names),
        Err(why) => Units::Unknown(why),
    }
}

/// Where the kernel may not be asked, as in the package's sandbox, systemd says what it thinks of the
/// same figure.
fn clock() -> Option<Kept> {
    let kept = ask(look::clock_is_kept(SYSTEMD)).ok().flatten()?;
    Some(Kept { maximum_error_us: if kept { 0 } else { Kept::UNKNOWN_US } })
}
