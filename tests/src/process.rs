//! Programs that the harness starts, and what `/proc` says about those that stationd starts.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use stationd::os::process;
use tokio::process::Command;

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Both outputs, for messages and for texts that may stand in either.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A binary of this workspace, beside the running test.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // A test lies one folder deeper than the programs.
    let mut places = own.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    places.find(|path| path.is_file()).with_context(|| {
        format!("{name} is not beside {}: run `cargo build --workspace --bins`", own.display())
    })
}

/// A command with a clean environment: no setting of the caller leaks into a test.
pub fn command(program: &Path) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the harness starts programs here only")]
    let mut command = Command::new(program);
    let kept = ["PATH", "HOME", "USER", "LANG", "TMPDIR", "RUST_BACKTRACE"];
    command.env_clear();
    command.envs(kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::null());
    command
}

/// The same with so many descriptors at most.
pub fn with_descriptors(program: &Path, count: usize) -> Command {
    let mut command = command(Path::new("/bin/sh"));
    command.arg("-c").arg(format!("ulimit -n {count} && exec \"$0\"")).arg(program);
    command
}

/// Both outputs of the program go to the end of a file.
pub fn log_to(command: &mut Command, path: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    command.stdout(file.try_clone()?).stderr(file);
    Ok(())
}

/// Runs a program to its end.
pub async fn run(mut command: Command, limit: Duration) -> Result<Output> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let output = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .with_context(|| format!("{command:?} did not end within {limit:?}"))??;
    Ok(Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Every living process that was started for `home`: its environment or arguments name a path in
/// it. Zombies do not count.
pub fn of_home(home: &Path) -> Vec<i32> {
    let own = std::process::id();
    let text = home.as_os_str().as_encoded_bytes();
    process::all()
        .into_iter()
        .filter(|pid| u32::try_from(*pid).is_ok_and(|pid| pid != own) && is_alive(*pid))
        .filter(|pid| {
            ["environ", "cmdline"].iter().any(|file| {
                std::fs::read(format!("/proc/{pid}/{file}"))
                    .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text))
            })
        })
        .collect()
}

/// Of the processes of `home`, those whose command line contains `word`.
pub fn of_home_with(home: &Path, word: &str) -> Vec<i32> {
    of_home(home).into_iter().filter(|pid| command_line(*pid).contains(word)).collect()
}

/// The arguments of a process, separated by blanks.
pub fn command_line(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Whether the process runs; a zombie does not.
pub fn is_alive(pid: i32) -> bool {
    process::Stat::read(pid).is_some_and(|stat| stat.state != 'Z')
}

/// Kills every process of `home`, new ones too, until none is left.
pub fn end_all(home: &Path) {
    for _ in 0..100 {
        let left = of_home(home);
        if left.is_empty() {
            return;
        }
        for pid in left {
            // A process that ended meanwhile needs no signal.
            drop(process::signal(pid, Signal::SIGKILL));
        }
        pause(Duration::from_millis(20));
    }
}

/// Waits where there is no runtime.
pub(crate) fn pause(time: Duration) {
    let ms = u16::try_from(time.as_millis()).unwrap_or(u16::MAX);
    // Nothing to wait for but the time; an interruption only makes it shorter.
    nix::poll::poll(&mut [], ms).unwrap_or_default();
}

/// Waits until `found` gives something: for facts of the kernel, which nobody announces.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut found: impl FnMut() -> Option<T>,
) -> Result<T> {
    let poll = async {
        loop {
            if let Some(value) = found() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, poll).await.with_context(|| format!("{what}: not within {limit:?}"))
}

/// Resident memory of a process in KiB.
pub fn rss_kib(pid: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// How many file descriptors a process has open.
pub fn open_files(pid: i32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Lets this process open as many files as it may.
pub fn raise_file_limit() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// Whether a program is on the PATH.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
    files.find(|path| {
        path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    })
}

/// The same for a question that takes time itself.
pub async fn eventually_async<T, F>(
    what: &str,
    limit: Duration,
    mut found: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let poll = async {
        loop {
            if let Some(value) = found().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(limit, poll).await.with_context(|| format!("{what}: not within {limit:?}"))
}
