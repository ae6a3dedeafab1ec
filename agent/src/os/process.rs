//! Processes as `/proc` shows them: identity that a recycled pid cannot fake, and the tree below.

pub mod environment;
pub mod group;
pub mod memory;
pub mod threads;
pub mod usage;

use std::fs;
use std::io;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::PidfdFlags;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use self::environment::{with_environment, with_environment_start};

/// A process that can be recognised again: a pid alone may have been given to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// Clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`
    pub boot_id: String,
}

impl ProcessId {
    /// The identity of a living process; `None` if there is none with that pid.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self { pid, start_ticks: stat.start_ticks, boot_id: boot_id() })
    }

    pub fn own() -> Option<Self> {
        Self::of(nix::unistd::getpid().as_raw())
    }

    /// Whether that very process still runs (a zombie does not).
    pub fn alive(&self) -> bool {
        self.boot_id == boot_id()
            && Stat::read(self.pid)
                .is_some_and(|stat| stat.start_ticks == self.start_ticks && stat.state != 'Z')
    }
}

/// The fields of `/proc/PID/stat` that are used here; see `proc_pid_stat(5)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// The controlling terminal; 0 if there is none.
    pub terminal: i32,
    /// The group in the foreground of that terminal.
    pub foreground: i32,
    /// Time on a CPU, in ticks of 10 ms.
    pub cpu_ticks: u64,
    pub start_ticks: u64,
    pub resident_pages: u64,
    /// As `waitpid(2)` would say it; 0 while the process lives or where we may not know.
    pub exit_status: i32,
}

impl Stat {
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The command name may hold blanks and brackets, so fields count from the last `)`.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let state = fields.next()?.chars().next()?;
        // From here on a field's place is its number in the manual less 4.
        let fields: Vec<&str> = fields.collect();
        let number = |place: usize| fields.get(place)?.trim_end().parse::<i64>().ok();
        let whole = |place| number(place).and_then(|number| i32::try_from(number).ok());
        let count = |place: usize| fields.get(place)?.trim_end().parse::<u64>().ok();
        Some(Self {
            state,
            parent: whole(0)?,
            group: whole(1)?,
            session: whole(2)?,
            terminal: whole(3)?,
            foreground: whole(4)?,
            cpu_ticks: count(10)?.saturating_add(count(11)?),
            start_ticks: count(18)?,
            resident_pages: count(20).unwrap_or_default(),
            exit_status: whole(48).unwrap_or_default(),
        })
    }
}

/// Identifies this boot of the kernel.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Every pid there is now.
pub fn all() -> Vec<i32> {
    all_in(Path::new("/proc"))
}

fn all_in(proc: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Every process below `root`, by the chain of parents; zombies too, until somebody reaps them.
pub fn descendants(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> =
        all().into_iter().filter_map(|pid| Some((pid, Stat::read(pid)?.parent))).collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        let below = parents.iter().filter(|(_, of)| *of == parent);
        found.extend(below.map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// The children of a process, as the kernel lists them; cheaper than [`descendants`].
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let lists: Vec<String> = threads.filter_map(|thread| of(thread.ok()?)).collect();
    lists
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The command line of a process, its program's name first; empty for one that has ended.
pub fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// Every process in the session that this one leads, itself included.
pub fn of_session(leader: i32) -> Vec<i32> {
    let belongs = |pid: &i32| Stat::read(*pid).is_some_and(|stat| stat.session == leader);
    all().into_iter().filter(belongs).collect()
}

/// Closes every descriptor but the three standard ones: what whoever started us left open.
///
/// Only for the first step of a process, before it has opened anything of its own.
pub fn close_inherited() {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in open {
        // The listing's own descriptor is in the list and closed already.
        drop(nix::unistd::close(descriptor).map_err(io::Error::from));
    }
}

/// Lets this process open as many files as the kernel grants it: every tunnel holds two, and the
/// usual soft limit of 1,024 is for programs that use select(2).
pub fn raise_file_limit() -> io::Result<()> {
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Returns when the process has ended; at once if there is none. See `pidfd_open(2)`: no right over
/// the process is needed, nor a sight of it in `/proc`.
pub async fn ended(pid: i32) {
    let process = rustix::process::Pid::from_raw(pid);
    let Some(Ok(descriptor)) =
        process.map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK))
    else {
        return;
    };
    #[expect(unsafe_code, reason = "tokio has no safe way to wait for a descriptor of any kind")]
    // SAFETY: the descriptor is owned here, stays open until the registration is dropped, and is
    // never exchanged for another.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    if let Ok(descriptor) = registered {
        // An error of the event loop means: look for yourself.
        drop(descriptor.readable().await);
    }
}

/// Takes the end of a child, so that the kernel forgets it; one that lives is left alone.
pub fn reap(pid: i32) {
    use nix::sys::wait::{WaitPidFlag, waitpid};
    drop(waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)).map_err(io::Error::from));
}

/// How many files this process may have open.
pub fn file_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _hard)| soft)
}

/// Sends a signal; a process that is gone already is not an error.
pub fn signal(pid: i32, signal: Signal) -> io::Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Sends a signal to a whole process group; a group that is gone is not an error.
pub fn signal_group(leader: i32, signal: Signal) -> io::Result<()> {
    match nix::sys::signal::killpg(Pid::from_raw(leader), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_listed_and_how_it_ended_can_be_read_before_it_is_reaped() {
        #[expect(clippy::disallowed_methods, reason = "a child of the test's own")]
        let mut child =
            std::process::Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(children(ProcessId::own().unwrap().pid).contains(&pid));
        let ended =
            std::iter::repeat_with(|| Stat::read(pid).unwrap()).find(|stat| stat.state == 'Z');
        assert_eq!(ended.unwrap().exit_status, 3 << 8);
        child.wait().unwrap();
        assert_eq!(command_line(pid), Vec::<String>::new());
    }

    #[test]
    fn own_process_is_alive_and_a_recycled_pid_is_not() {
        let own = ProcessId::own().unwrap();
        assert!(own.alive());
        assert!(!ProcessId { start_ticks: own.start_ticks + 1, ..own.clone() }.alive());
        assert!(!ProcessId { boot_id: "another boot".into(), ..own }.alive());
    }

    #[test]
    fn a_command_name_with_brackets_does_not_shift_the_fields() {
        let line = "7 (a) b (c)) S 5 7 6 34816 9 4194560 1 0 0 0 3 4 0 0 20 0 1 0 987 0 12";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.group, stat.session), ('S', 5, 7, 6));
        assert_eq!((stat.terminal, stat.foreground, stat.cpu_ticks), (34816, 9, 7));
        assert_eq!((stat.start_ticks, stat.resident_pages, stat.exit_status), (987, 12, 0));
    }
}
