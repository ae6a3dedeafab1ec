//! The only place that starts programs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("cannot start {program}")]
    Start { program: PathBuf, source: io::Error },
    #[error("{program} did not end within {} s", .limit.as_secs())]
    TimedOut { program: PathBuf, limit: Duration },
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

/// What a finished program left.
#[derive(Debug)]
pub struct Output {
    pub success: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs a program to its end with no input; it is killed when `limit` has passed.
pub async fn run(
    program: &Path,
    arguments: &[&OsStr],
    limit: Duration,
) -> Result<Output, CommandError> {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| CommandError::Start { program: program.to_owned(), source })?;
    let finished = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .map_err(|_elapsed| CommandError::TimedOut { program: program.to_owned(), limit })?
        .map_err(|source| CommandError::Start { program: program.to_owned(), source })?;
    Ok(Output {
        success: finished.status.success(),
        stdout: finished.stdout,
        stderr: finished.stderr,
    })
}

/// Starts a program that goes on when stationd ends: own process group, no terminal, no pipes.
///
/// The caller keeps the child only to learn of its end; dropping it does not stop the program.
pub fn start_detached(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
) -> Result<Child, CommandError> {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(false);
    command.spawn().map_err(|source| CommandError::Start { program: program.to_owned(), source })
}

/// Like [`run`], with an environment, a folder and an account of its own.
pub async fn run_as(program: &Program, limit: Duration) -> Result<Output, CommandError> {
    let mut command = Command::from(prepared(program));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let fail = |source| CommandError::Start { program: program.program.clone(), source };
    let child = command.spawn().map_err(fail)?;
    let finished = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .map_err(|_elapsed| CommandError::TimedOut { program: program.program.clone(), limit })?
        .map_err(fail)?;
    Ok(Output {
        success: finished.status.success(),
        stdout: finished.stdout,
        stderr: finished.stderr,
    })
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

/// The first file called `name` that may be executed, in the folders given.
pub fn find(name: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(name)).find(|path| executable(path))
}

/// Whether `path` is a file that this process may execute.
pub fn executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}
