//! From a list of processes to what a person calls them: kernels, terminals, R sessions. Pure.

use super::report::{Kernel, Session, Terminal};

/// One process below the app, as `/proc` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// 0 without one.
    pub(super) terminal: i32,
    pub(super) foreground: i32,
    pub(super) cpu_ms: u64,
    pub(super) memory_bytes: u64,
    pub(super) command: Vec<String>,
}

/// What the list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) kernels: Vec<Kernel>,
    pub(super) terminals: Vec<Terminal>,
    pub(super) sessions: Vec<Session>,
    pub(super) cpu_ms: u64,
}

/// How R sessions are called; `ps` and the kernel cut names at 15 bytes, this one is shorter.
const R_SESSION: &str = "rsession";
/// Characters of a command line that are shown.
const SHOWN: usize = 80;

pub(super) fn see(processes: &[Process]) -> Sight {
    let kernels = processes.iter().filter_map(|process| {
        let id = kernel_id(&process.command)?.to_owned();
        let (pid, cpu_ms, memory_bytes) = (process.pid, process.cpu_ms, process.memory_bytes);
        Some(Kernel { id, pid, cpu_ms, memory_bytes })
    });
    let kernels = kernels_proper(processes, &kernels.collect::<Vec<_>>());
    Sight {
        kernels,
        terminals: processes.iter().filter_map(|shell| terminal(shell, processes)).collect(),
        sessions: r_sessions(processes).map(|process| session(process, processes)).collect(),
        cpu_ms: processes.iter().map(|process| process.cpu_ms).sum(),
    }
}

/// One process for each kernel. What a kernel forks has its command line and is not it; a script that
/// only starts it has another one.
fn kernels_proper(processes: &[Process], found: &[Kernel]) -> Vec<Kernel> {
    let of = |pid: i32| processes.iter().find(|process| process.pid == pid);
    let parent = |pid| of(pid).map_or(0, |process| process.parent);
    let same_line = |a, b| of(a).map(|one| &one.command) == of(b).map(|one| &one.command);
    let forked = |kernel: &Kernel| {
        let above = parent(kernel.pid);
        found.iter().any(|one| one.id == kernel.id && one.pid == above)
            && same_line(above, kernel.pid)
    };
    let starts_it = |kernel: &Kernel| {
        found.iter().any(|one| {
            one.id == kernel.id && parent(one.pid) == kernel.pid && !same_line(kernel.pid, one.pid)
        })
    };
    found.iter().filter(|kernel| !forked(kernel) && !starts_it(kernel)).cloned().collect()
}

/// Every kernel is started with its connection file, `…/kernel-ID.json`.
fn kernel_id(command: &[String]) -> Option<&str> {
    command.iter().find_map(|argument| {
        let name = argument.rsplit('/').next()?;
        let id = name.strip_prefix("kernel-")?.strip_suffix(".json")?;
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (plain && !id.is_empty() && id.len() <= 64).then_some(id)
    })
}

/// A shell leads the session of its terminal. A job in its foreground has a group of its own.
fn terminal(shell: &Process, processes: &[Process]) -> Option<Terminal> {
    if shell.terminal == 0 || shell.pid != shell.session {
        return None;
    }
    let others = shell.foreground > 0 && shell.foreground != shell.group;
    let job = others.then(|| {
        let leader = processes.iter().find(|process| process.pid == shell.foreground);
        // The first of a pipe may have ended while the others go on.
        let any = || processes.iter().find(|process| process.group == shell.foreground);
        leader.or_else(any).map_or_else(|| "a program".to_owned(), |job| shown(&job.command))
    });
    Some(Terminal { pid: shell.pid, foreground: job })
}

/// Sessions proper: what R forks (`parallel::mclapply`) is called so too.
pub(super) fn r_sessions(processes: &[Process]) -> impl Iterator<Item = &Process> {
    let named = |process: &&Process| {
        let program = process.command.first().and_then(|program| program.rsplit('/').next());
        program == Some(R_SESSION)
    };
    let all: Vec<i32> = processes.iter().filter(named).map(|process| process.pid).collect();
    processes.iter().filter(named).filter(move |process| !all.contains(&process.parent))
}

fn session(process: &Process, processes: &[Process]) -> Session {
    let mut family = vec![process.pid];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        let below = processes.iter().filter(|one| one.parent == parent && one.pid != parent);
        family.extend(below.map(|one| one.pid));
        at += 1;
    }
    let cpu = processes.iter().filter(|one| family.contains(&one.pid)).map(|one| one.cpu_ms).sum();
    let below = u32::try_from(family.len() - 1).unwrap_or(u32::MAX);
    Session { pid: process.pid, cpu_ms: cpu, below, executing: None }
}

fn shown(command: &[String]) -> String {
    let line = command.join(" ");
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= SHOWN {
        return line;
    }
    line.chars().take(SHOWN - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, command: &str) -> Process {
        let command = command.split(' ').map(str::to_owned).collect();
        Process { pid, parent, group: pid, session: pid, cpu_ms: 10, command, ..Process::default() }
    }

    #[test]
    fn kernels_of_any_language_by_their_connection_file() {
        let python = "/usr/bin/python3 -m ipykernel_launcher -f /run/jupyter/kernel-ab-12.json";
        let r = "/usr/lib/R/bin/exec/R --no-echo -e IRkernel::main() --args /x/kernel-cd.json";
        let wrapped = [
            process(7, 1, "/bin/bash /opt/wrap kernel-ef.json"),
            process(8, 7, "x kernel-ef.json"),
        ];
        let [outer, inner] = wrapped;
        let all = [
            process(5, 1, python),
            process(6, 1, r),
            outer,
            inner,
            process(9, 1, "cat kernel-.json"),
        ];
        let ids: Vec<_> =
            see(&all).kernels.into_iter().map(|kernel| (kernel.pid, kernel.id)).collect();
        assert_eq!(ids, [(5, "ab-12".into()), (6, "cd".into()), (8, "ef".into())]);
        assert_eq!(see(&all).cpu_ms, 50);
    }

    #[test]
    fn what_a_kernel_forks_is_not_the_kernel() {
        let line = "python -m ipykernel_launcher -f kernel-ab.json";
        let all = [process(5, 1, line), process(6, 5, line), process(7, 6, line)];
        let pids: Vec<_> = see(&all).kernels.into_iter().map(|kernel| kernel.pid).collect();
        assert_eq!(pids, [5]);
    }

    #[test]
    fn a_terminal_with_a_job_in_its_foreground() {
        let shell =
            |foreground| Process { terminal: 34816, foreground, ..process(5, 1, "/bin/bash") };
        let job = Process { session: 5, terminal: 34816, ..process(6, 5, "sleep 1000") };
        let waits = see(&[shell(5), job.clone()]).terminals;
        assert_eq!(waits, [Terminal { pid: 5, foreground: None }]);
        let works = see(&[shell(6), job]).terminals;
        assert_eq!(works, [Terminal { pid: 5, foreground: Some("sleep 1000".into()) }]);
        let rest = Process { group: 6, session: 5, ..process(7, 5, "grep x") };
        assert_eq!(see(&[shell(6), rest]).terminals[0].foreground.as_deref(), Some("grep x"));
        let no_terminal = process(5, 1, "/bin/bash");
        assert_eq!(see(&[no_terminal]).terminals, []);
    }

    #[test]
    fn an_r_session_with_what_it_started() {
        let all = [
            process(5, 1, "/usr/lib/rstudio-server/bin/rsession -u ada"),
            process(6, 5, "sh -c make"),
            process(7, 6, "make"),
            process(8, 1, "other"),
            // What R forks, `parallel::mclapply`, is a part of it.
            process(9, 5, "/usr/lib/rstudio-server/bin/rsession -u ada"),
        ];
        let session = Session { pid: 5, cpu_ms: 40, below: 3, executing: None };
        assert_eq!(see(&all).sessions, [session]);
    }

    #[test]
    fn a_long_or_dirty_command_line_is_cut() {
        assert_eq!(shown(&["a\x1b[2J".into(), "b".into()]), "a [2J b");
        assert_eq!(shown(&["ä".repeat(200)]).chars().count(), SHOWN);
    }
}
