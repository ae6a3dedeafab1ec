//! The keeper: a small process that holds one app and outlives stationd.
//!
//! `stationd keep --dir DIR` starts the program described in `DIR/launch.json` in a session of its
//! own, pumps its output into a rotating log, and listens on `DIR/k.sock`. Whoever connects gets the
//! present state as a line of JSON, then every change; it takes `stop`, `kill` and `taken`.
//!
//! ```text
//!   starting ──► running ──(stop, kill, SIGTERM)──► stopping ──┐
//!                   └───────(the program ends)─────────────────┴─► everything below killed
//!                                                                  ──► exit.json ──► gone
//! ```
//!
//! Invariants: the app's output is always read, whatever the disk does. The keeper is a subreaper,
//! so that children with a session or a parent of their own stay below it; none of them is left
//! when `exit.json` is written. It is single-threaded and has no runtime: it must stay small.

mod clients;
pub mod files;
mod log;
mod output;
mod run;
pub(super) mod start;
pub(super) mod sweep;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::Signal;

use self::files::{FILE_BYTES_MAX, Folder, Hello, Kept, Launch, VERSION};
use crate::base::chain::Chain;
use crate::base::limits;
use crate::os::command::{self, CommandError};
use crate::os::file::{self, FileError};
use crate::os::process::{self, ProcessId, memory};
use crate::os::socket::{self, SocketError};
use crate::os::{clock, signals};

pub use self::log::numbered;

/// Why a keeper could not start its app.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("usage: stationd keep --dir DIR")]
    Usage,
    #[error("cannot read the launch file")]
    ReadLaunch(#[source] FileError),
    #[error("the launch file {path} is not understood")]
    ParseLaunch { path: PathBuf, source: serde_json::Error },
    #[error("the keeper's lock cannot be used")]
    Lock(#[source] FileError),
    #[error("process {0} keeps this app already")]
    Held(String),
    #[error("the keeper's socket cannot be used")]
    Socket(#[source] SocketError),
    #[error("cannot listen on {path}")]
    Listen { path: PathBuf, source: io::Error },
    #[error("the keeper cannot be set up")]
    SetUp(#[source] io::Error),
    #[error("the program did not start")]
    Start(#[source] CommandError),
    #[error("cannot write the keeper file")]
    WriteKept(#[source] FileError),
}

/// The whole life of the role. The arguments are those after `keep`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // A lock or a socket of whoever started stationd must not live as long as an app.
    process::close_inherited();
    let mut stdout = io::stdout();
    let kept = folder(arguments).and_then(|folder| start(&folder));
    let (hello, keeper) = match kept {
        Ok(keeper) => (Hello::Running(Box::new(keeper.present())), Some(keeper)),
        Err(error) => (Hello::Failed(Chain(&error).to_string()), None),
    };
    if let Ok(line) = serde_json::to_string(&hello) {
        // Nobody may be reading any more; the state is on disk and on the socket as well.
        drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
    }
    let Some(keeper) = keeper else {
        return ExitCode::FAILURE;
    };
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        drop(nix::unistd::dup2_stdout(&null).map_err(io::Error::from));
    }
    keeper.keep()
}

fn folder(arguments: impl IntoIterator<Item = OsString>) -> Result<Folder, KeepError> {
    let mut arguments = arguments.into_iter();
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(folder), None) if flag == "--dir" => Ok(Folder(PathBuf::from(folder))),
        _ => Err(KeepError::Usage),
    }
}

fn start(folder: &Folder) -> Result<run::Keeper, KeepError> {
    // Fails only for the leader of a process group, as when a person starts it in a shell.
    drop(nix::unistd::setsid().map_err(io::Error::from));
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| KeepError::SetUp(errno.into()))?;
    let taken = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
    let signals = signals::by_descriptor(&taken).map_err(KeepError::SetUp)?;
    let launch = read_launch(&folder.launch())?;
    if let Some(group) = &launch.group {
        memory::enter(group).map_err(KeepError::SetUp)?;
    }
    let own = std::process::id().to_string();
    let lock = file::lock(&folder.lock(), &own)
        .map_err(KeepError::Lock)?
        .map_err(|holder| KeepError::Held(holder.0))?;
    let listener = listen(&folder.socket())?;
    let log = log::Log::new(launch.log.clone(), limits::LOG_FILE_BYTES, limits::LOG_FILES);
    let (output, child_output) = io::pipe().map_err(KeepError::SetUp)?;
    let child = command::start_unit(&launch.program, child_output).map_err(KeepError::Start)?;
    let pid = i32::try_from(child.id()).unwrap_or_default();
    let kept = kept(&launch, pid)?;
    let written = serde_json::to_vec_pretty(&kept).unwrap_or_default();
    if let Err(error) = file::write_atomic(&folder.kept(), &written, 0o600) {
        // Without this file nobody could adopt it: better no app than a lost one.
        run::kill_below();
        return Err(KeepError::WriteKept(error));
    }
    let mut output = output::Output::new(output, log).map_err(KeepError::SetUp)?;
    output
        .note(&format!("{START_MARK}{} started, generation {}]\n", launch.app, launch.generation));
    Ok(run::Keeper::new(
        run::Parts { folder: folder.clone(), signals, listener, output, _lock: lock },
        kept,
    ))
}

/// How the line begins that the keeper writes into the log at every start.
pub const START_MARK: &str = "[stationd: ";

fn read_launch(path: &Path) -> Result<Launch, KeepError> {
    let bytes = file::read_limited(path, FILE_BYTES_MAX).map_err(KeepError::ReadLaunch)?;
    serde_json::from_slice(&bytes)
        .map_err(|source| KeepError::ParseLaunch { path: path.to_owned(), source })
}

/// The caller holds stationd's lock and has ended any earlier keeper, so an old socket is stale.
fn listen(path: &Path) -> Result<UnixListener, KeepError> {
    socket::check_path(path).map_err(KeepError::Socket)?;
    let fail = |source| KeepError::Listen { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    Ok(listener)
}

fn kept(launch: &Launch, pid: i32) -> Result<Kept, KeepError> {
    let gone = || KeepError::SetUp(io::ErrorKind::NotFound.into());
    Ok(Kept {
        version: VERSION,
        keeper: ProcessId::own().ok_or_else(gone)?,
        app: ProcessId::of(pid).ok_or_else(gone)?,
        generation: launch.generation,
        unit: launch.unit.clone(),
        spec: launch.spec.clone(),
        started_at: clock::now().wall.as_millisecond(),
        invocation: None,
    })
}

/// Reads `keeper.json`, `exit.json` or `launch.json`; `None` if it is missing or not understood.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = file::read_limited(path, FILE_BYTES_MAX).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Opens the file for what a keeper cannot say otherwise, such as a panic.
pub(super) fn error_file(folder: &Folder) -> io::Result<File> {
    File::create(folder.errors())
}
