//! Programs that a measurement starts, and what `/proc` says about them.
//!
//! Whatever was started here is ended when its value is dropped, also after an error.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Clock ticks a second in `/proc/PID/stat`; fixed at 100 on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// A program that runs beside the measurement.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
}

impl Running {
    /// Starts it with its output in `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // A group of its own: Ctrl-C reaches the measurement, which then ends it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap_or(i32::MAX)
    }

    /// It and every process below it.
    pub(super) fn tree(&self) -> Vec<i32> {
        tree(self.pid())
    }

    pub(super) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The tree first: node and nginx leave children behind when they are killed.
        for pid in self.tree().into_iter().rev() {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _reaped = self.child.wait();
    }
}

/// A command, which the caller completes.
#[expect(clippy::disallowed_methods, reason = "measurements start programs here only")]
pub(super) fn command(program: impl AsRef<Path>) -> Command {
    Command::new(program.as_ref())
}

/// Runs a command to its end; its output, or an error that has its last lines.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        let stderr = String::from_utf8_lossy(&stderr);
        bail!("{name} ended with {status}: {stdout}{stderr}");
    }
    Ok(stdout)
}

/// A loopback port that was free just now.
pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[expect(clippy::disallowed_methods, reason = "the orchestrating thread has nothing else to do")]
pub(super) fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Asks `ready` every 50 ms, at most 30 s long.
pub(super) fn wait_until(what: &str, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    for _ in 0..600 {
        if ready() {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    bail!("{what}: not within 30 s")
}

/// User and system time of these processes so far, in seconds.
pub(super) fn cpu_seconds(pids: &[i32]) -> f64 {
    seconds(pids, 2)
}

/// The same with the processes that they started and that have ended: whoever looks by starting a
/// program pays for that too.
pub(super) fn cpu_seconds_with_ended(pids: &[i32]) -> f64 {
    seconds(pids, 4)
}

/// The first so many of utime, stime, cutime, cstime.
fn seconds(pids: &[i32], times: usize) -> f64 {
    let ticks: u64 = pids.iter().filter_map(|pid| cpu_ticks(*pid, times)).sum();
    to_f64(ticks) / TICKS_PER_SECOND
}

fn cpu_ticks(pid: i32, times: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold blanks.
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    fields.take(times).map(|field| field.parse::<u64>().ok()).sum()
}

/// Sum of the proportional set sizes of these processes, in KiB.
pub(super) fn pss_kib(pids: &[i32]) -> f64 {
    let of_one = |pid: &i32| number_after(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
    to_f64(pids.iter().filter_map(of_one).sum())
}

/// Voluntary context switches of all threads so far: how often the process was woken.
pub(super) fn wakeups(pid: i32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0.0;
    };
    let of_one = |thread: fs::DirEntry| {
        let status = thread.path().join("status");
        number_after(&status.to_string_lossy(), "voluntary_ctxt_switches:")
    };
    to_f64(threads.flatten().filter_map(of_one).sum())
}

fn number_after(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// `root` and every process below it, parents first.
pub(super) fn tree(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> =
        processes().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, above)| *above == pid).map(|(below, _)| *below));
        next += 1;
    }
    found
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Processes whose program is `binary` and whose environment or arguments name `home`.
pub(super) fn of_home(binary: &Path, home: &Path) -> Vec<i32> {
    let home = home.to_string_lossy().into_owned();
    let names_home = |file: String| {
        fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&home))
    };
    processes()
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary)
                && (names_home(format!("/proc/{pid}/environ"))
                    || names_home(format!("/proc/{pid}/cmdline")))
        })
        .collect()
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The load of the machine over the last minute.
pub(super) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().unwrap_or(f64::NAN)
}

/// Folder of the binaries that were built together with this one.
pub(super) fn binaries() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("the program has no folder")?;
    Ok(folder.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
pub(super) fn to_f64(number: u64) -> f64 {
    number as f64
}
