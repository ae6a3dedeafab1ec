//! The process of one look.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Ask, Disk, Said, Units, cuda, files, node};
use crate::base::chain::Chain;
use crate::os::machine::{self, disk};
use crate::os::systemd::failed;

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

fn units() -> Units {
    if !machine::path("/run/systemd/system").is_dir() {
        return Units::None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(failed::failed(SYSTEMD))) {
        Ok(Ok(None)) => Units::None,
        Ok(Ok(Some(names))) => Units::Failed(names),
        Ok(Err(error)) => Units::Unknown(Chain(&error).to_string()),
        Err(error) => Units::Unknown(error.to_string()),
    }
}
