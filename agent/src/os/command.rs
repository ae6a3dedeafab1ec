//! The only place that starts programs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("cannot start {program}")]
    Start { program: PathBuf, source: io::Error },
    #[error("{program} did not end within {} s", .limit.as_secs())]
    TimedOut { program: PathBuf, limit: Duration },
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

/// The first file called `name` that may be executed, in the folders given.
pub fn find(name: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(name)).find(|path| executable(path))
}

/// Whether `path` is a file that this process may execute.
pub fn executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}
