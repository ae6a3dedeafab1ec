//! The process of one look.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Ask, Disk, Kept, Said, Units, cuda, files, node};
use crate::base::chain::Chain;
use crate::os::machine::clock;
use crate::os::machine::disk;
use crate::os::systemd::look::{self, LookError};

/// How long systemd may take to answer.
const SYSTEMD: Duration = Duration::from_secs(2);

/// One line, whole. When nobody listens any more, there is nothing to be done about it.
fn say(said: &Said) {
    let Ok(mut line) = serde_json::to_vec(said) else { return };
    line.push(b'\n');
    let mut out = io::stdout().lock();
    drop(out.write_all(&line).and_then(|()| out.flush()));
}

/// `stationd probe host ASK`, with what to ask as JSON.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ask = arguments.into_iter().next().and_then(|word| word.into_string().ok());
    let Some(ask) = ask.and_then(|text| serde_json::from_str::<Ask>(&text).ok()) else {
        drop(writeln!(io::stderr(), "usage: stationd probe host ASK, as stationd writes it"));
        return ExitCode::from(2);
    };
    // What hangs on one disk must not hide the others: a thread for each.
    let disks: Vec<_> = ask.disks.iter().cloned().map(look_at).collect();
    say(&Said::Files(Box::new(files::read(&ask))));
    if ask.more.node {
        say(&Said::Node(Box::new(node::read())));
        if clock::kept().is_none() {
            say(&Said::Clock(clock()));
        }
    }
    if ask.more.units {
        say(&Said::Units(units()));
    }
    if ask.more.cuda {
        say(&Said::Cuda(cuda::read(ask.tools.as_deref())));
    }
    for disk in disks {
        // A thread that panicked has said nothing: its disk counts as silent.
        drop(disk.join());
    }
    ExitCode::SUCCESS
}

fn look_at(path: PathBuf) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let disk = match disk::space(&path) {
            Ok(space) => Disk::Space(space),
            Err(error) => Disk::Failed(error.to_string()),
        };
        say(&Said::Disk { path, disk });
    })
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
