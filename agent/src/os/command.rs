//! The only place that starts programs.

mod follow;
mod run;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

pub use self::follow::follow;
pub use self::run::{Output, run_as};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("cannot start {program}")]
    Start { program: PathBuf, source: io::Error },
    #[error("{program} did not end within {} s", .limit.as_secs())]
    TimedOut { program: PathBuf, limit: Duration },
    #[error("{program} printed more than {} bytes", crate::base::limits::COMMAND_OUTPUT)]
    TooMuch { program: PathBuf },
}

/// The account that a program runs under, where it is not our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    /// Every group, the supplementary ones too.
    pub groups: Vec<u32>,
}

/// A program with everything that it gets from us; nothing is inherited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub folder: PathBuf,
    /// Absent: the account of the caller.
    #[serde(default)]
    pub account: Option<Account>,
}

/// Starts a program in a session of its own, with both outputs on `output`. No runtime is needed.
pub fn start_unit(
    program: &Program,
    output: io::PipeWriter,
) -> Result<std::process::Child, CommandError> {
    let fail = |source| CommandError::Start { program: program.program.clone(), source };
    let mut command = prepared(program);
    command.stdin(Stdio::null()).stdout(output.try_clone().map_err(fail)?).stderr(output);
    command.spawn().map_err(fail)
}

/// Starts a program that outlives us; its standard output is ours to read until it closes it.
pub fn start_keeper(program: &Program, stderr: std::fs::File) -> Result<Child, CommandError> {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let mut command = Command::new(&program.program);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(&program.environment)
        .current_dir(&program.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .kill_on_drop(false);
    command
        .spawn()
        .map_err(|source| CommandError::Start { program: program.program.clone(), source })
}

/// Starts a program that shares our outputs and that we wait for.
pub fn start_attended(program: &Program) -> Result<Child, CommandError> {
    let mut command = Command::from(prepared(program));
    command
        .spawn()
        .map_err(|source| CommandError::Start { program: program.program.clone(), source })
}

/// Starts a program that stays, with both outputs on `output`; in a session of its own.
pub fn start_heard(program: &Program, output: io::PipeWriter) -> Result<Child, CommandError> {
    let fail = |source| CommandError::Start { program: program.program.clone(), source };
    let mut command = Command::from(prepared(program));
    command.stdin(Stdio::null()).stdout(output.try_clone().map_err(fail)?).stderr(output);
    command.spawn().map_err(fail)
}

/// Starts a program that says by its exit code what it saw, and is left alone if it hangs.
pub fn start_look(program: &Program) -> Result<Child, CommandError> {
    let mut command = Command::from(prepared(program));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
        .spawn()
        .map_err(|source| CommandError::Start { program: program.program.clone(), source })
}

/// Starts a program that speaks and listens on one connection, and is left alone if it hangs.
pub fn start_speaking(program: &Program, connection: OwnedFd) -> Result<Child, CommandError> {
    let fail = |source| CommandError::Start { program: program.program.clone(), source };
    let mut command = Command::from(prepared(program));
    let out = connection.try_clone().map_err(fail)?;
    command.stdin(connection).stdout(out).stderr(Stdio::inherit());
    command.spawn().map_err(fail)
}

/// A command that starts in a new session, with default signals and under its account.
fn prepared(program: &Program) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let mut command = std::process::Command::new(&program.program);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(&program.environment)
        .current_dir(&program.folder);
    let account = program.account.clone();
    let groups: Vec<Gid> = account
        .iter()
        .flat_map(|account| account.groups.iter().copied().map(Gid::from_raw))
        .collect();
    let enter = move || -> io::Result<()> {
        nix::unistd::setsid()?;
        SigSet::empty().thread_set_mask()?;
        if let Some(account) = &account {
            nix::unistd::setgroups(&groups)?;
            nix::unistd::setgid(Gid::from_raw(account.gid))?;
            nix::unistd::setuid(Uid::from_raw(account.uid))?;
        }
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "the standard library has no safe way to set supplementary groups"
    )]
    // SAFETY: between fork and exec `enter` only makes system calls; it allocates nothing, since
    // the group list was made before.
    unsafe {
        command.pre_exec(enter);
    }
    command
}

/// Has the program killed when the thread that starts it ends, even by SIGKILL: so only for the
/// main thread of a program, which ends last.
fn ends_with_us(command: &mut std::process::Command) {
    let enter = || -> io::Result<()> { Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?) };
    #[expect(unsafe_code, reason = "the standard library cannot ask the kernel for this")]
    // SAFETY: between fork and exec this makes one system call; it allocates nothing.
    unsafe {
        command.pre_exec(enter);
    }
}
