//! The attendant: a small process between a launcher and an app, in the app's own unit and under
//! its user's account. It sees what stationd, which has no rights there, cannot see.
//!
//! ```text
//!   launcher ─► stationd attend ─► the program
//!                 ├ w.sock ◄── stationd asks: kernels, terminals, R sessions, what has ended
//!                 ├ s.sock ──► the app's own socket or port, for apps that cannot listen on s.sock
//!                 ├ c.sock ──► Jupyter's s.sock: kernels' websockets, whose output is kept (`channels`)
//!                 └ SIGTERM ─► the end in the app's own order
//! ```
//!
//! Invariants: it ends as the program ends, by the same exit code or signal, and never before it.
//! How a kernel ended is read between its end and the moment when its parent takes it, so nothing
//! has to be loaded into the user's Python. What it says is the user's own word: stationd shows it
//! and decides nothing by it that is not the user's.
//!
//! Not here: who is started and when (`apps`), and with which arguments (`privileged::app::recipe`).

mod arguments;
pub mod channels;
mod executing;
mod relay;
pub mod report;
pub mod rstudio;
mod sight;
mod task;
mod tree;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::base::chain::Chain;
use crate::os::command::CommandError;
use crate::os::file::FileError;
use crate::os::socket::SocketError;

pub use self::arguments::{Arguments, Ending, Target};

/// Where it says what it sees, in the app's folder.
pub const SOCKET: &str = "w.sock";
/// Where apps that listen by themselves, or the relay, are reached.
const FRONT: &str = "s.sock";
/// Where an app listens that is reached through the relay, in the same folder.
pub const INNER: &str = "i.sock";
/// What it leaves behind if the app was killed for its memory.
pub const LAST_WORD: &str = "end.json";

/// Why the program could not be started.
#[derive(Debug, thiserror::Error)]
enum AttendError {
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error("cannot listen in the app's folder")]
    Listen(#[source] SocketError),
    #[error("cannot write what the app needs")]
    Write(#[source] FileError),
    #[error("cannot make {path}")]
    Prepare { path: PathBuf, source: io::Error },
    #[error("the program cannot be started")]
    Start(#[source] CommandError),
}

/// The whole life of the role. The arguments are those after `attend`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some(arguments) = Arguments::parse(arguments) else {
        complain(&"usage: stationd attend --folder DIR … -- PROGRAM ARGUMENT…");
        return ExitCode::from(2);
    };
    let attended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AttendError::Runtime)
        .and_then(|runtime| runtime.block_on(task::attend(arguments)));
    match attended {
        Ok(ended) => ended.repeat(),
        Err(error) => {
            complain(&Chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Into the app's log, where a person looks who wonders why it does not run.
#[expect(clippy::print_stderr, reason = "standard error is the app's log")]
fn complain(what: &dyn std::fmt::Display) {
    eprintln!("[stationd: {what}]");
}

fn prepare_error(path: &Path) -> impl FnOnce(io::Error) -> AttendError {
    let path = path.to_owned();
    move |source| AttendError::Prepare { path, source }
}
