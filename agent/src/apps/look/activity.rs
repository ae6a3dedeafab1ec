//! Whether an app works, and what shows it. Pure; the table of situations is its oracle.
//!
//! Jupyter's own `last_activity` is not idleness: a kernel that computes and prints nothing does not
//! move it. What cannot be known is called so, and counts as work: nothing is ended by mistake.

pub(in crate::apps) mod wire;

use std::time::Duration;

use jiff::Timestamp;

use super::uses::Last;
use crate::attend::report::Report;
use crate::base::moment::Moment;
use crate::privileged::Kind;

/// What an app does, as far as one source tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::apps) struct Source {
    pub(in crate::apps) what: What,
    /// The notebook of a kernel, the process of a session.
    pub(in crate::apps) name: String,
    pub(in crate::apps) state: State,
    /// Since when it has been idle, where that is known.
    pub(in crate::apps) since: Option<Timestamp>,
    /// One sentence for a person.
    pub(in crate::apps) evidence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::apps) enum What {
    Kernel,
    Terminal,
    Session,
    /// Everything that runs below the app.
    Processes,
    /// Requests and messages of people and programs.
    Use,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::apps) enum State {
    Active,
    Idle,
    /// It counts as active.
    Unknown,
}

/// What Jupyter says of one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::apps) struct Kernel {
    pub(in crate::apps) id: String,
    /// `idle`, `busy`, `starting`, …
    pub(in crate::apps) state: String,
    pub(in crate::apps) last_activity: Option<Timestamp>,
    pub(in crate::apps) connections: u32,
    /// The notebook, as far as there is one.
    pub(in crate::apps) path: Option<String>,
}

/// What Jupyter says of one terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::apps) struct Terminal {
    pub(in crate::apps) name: String,
    pub(in crate::apps) last_activity: Option<Timestamp>,
}

/// All that the verdict rests on.
#[derive(Debug, Clone, Copy)]
pub(in crate::apps) struct Facts<'a> {
    pub(in crate::apps) kind: Kind,
    pub(in crate::apps) now: Moment,
    pub(in crate::apps) kernels: &'a [Kernel],
    pub(in crate::apps) terminals: &'a [Terminal],
    /// Absent: the attendant did not answer.
    pub(in crate::apps) report: Option<&'a Report>,
    /// The one before, and how long ago that was.
    pub(in crate::apps) before: Option<(&'a Report, Duration)>,
    pub(in crate::apps) last_use: Option<&'a Last>,
}

/// A kernel that has not said anything for so long does not start any more.
const STARTING: Duration = Duration::from_secs(60);
/// A use is work as long as this.
const USE: Duration = Duration::from_secs(60);
/// Percent of a core from which a process computes: keeping a connection takes less than one.
const COMPUTES: u64 = 10;

/// What each source says.
pub(in crate::apps) fn sources(facts: &Facts<'_>) -> Vec<Source> {
    let mut sources = Vec::new();
    match facts.kind {
        Kind::JupyterLab | Kind::Jupyter => {
            sources.extend(facts.kernels.iter().map(|one| kernel(one, facts)));
            sources.extend(terminals(facts));
            // A program that a cell or a terminal has left in the background.
            let all = processes(facts);
            sources.extend((all.state == State::Active).then_some(all));
        }
        Kind::RStudio => sources.extend(sessions(facts)),
        Kind::Custom => sources.push(processes(facts)),
    }
    sources.extend(facts.last_use.map(|last| in_use(last, facts.now)));
    sources
}

/// Whether it is at work, and else since when not, by those who say a time.
pub(in crate::apps) fn verdict(sources: &[Source]) -> (State, Option<Timestamp>) {
    let is = |state| sources.iter().any(|source| source.state == state);
    if is(State::Active) {
        return (State::Active, None);
    }
    if is(State::Unknown) {
        return (State::Unknown, None);
    }
    (State::Idle, sources.iter().filter_map(|source| source.since).max())
}

fn kernel(kernel: &Kernel, facts: &Facts<'_>) -> Source {
    let since = kernel.last_activity;
    let quiet = since.map(|since| age(facts.now, since));
    let share = kernel_share(&kernel.id, facts);
    let computes = share.filter(|share| *share >= COMPUTES);
    let (state, evidence) = match (kernel.state.as_str(), computes) {
        ("busy", _) => (State::Active, "a cell runs".to_owned()),
        ("idle", Some(share)) => {
            (State::Active, format!("no cell runs, but it uses {share} % of a core"))
        }
        // Its use of the CPU is not known.
        ("idle", None) if facts.report.is_none() => {
            (State::Unknown, "no cell runs, and what else it does cannot be seen".to_owned())
        }
        ("idle", None) => (State::Idle, "no cell runs".to_owned()),
        ("dead", _) => (State::Idle, "it has died".to_owned()),
        ("starting" | "restarting", _) if quiet.is_none_or(|quiet| quiet < STARTING) => {
            (State::Active, "it starts".to_owned())
        }
        // Jupyter calls a kernel so as long as nobody has connected to it.
        ("starting" | "restarting", Some(share)) => {
            (State::Active, format!("nobody has connected to it, but it uses {share} % of a core"))
        }
        ("starting" | "restarting", None) if kernel.connections == 0 => {
            (State::Idle, "nobody has connected to it".to_owned())
        }
        (word, _) => (State::Unknown, format!("Jupyter calls it {word:?}")),
    };
    let name = kernel.path.clone().unwrap_or_else(|| format!("kernel {}", kernel.id));
    let since = since.filter(|_| state == State::Idle);
    Source { what: What::Kernel, name, state, since, evidence }
}

/// How much of a core a kernel has used since the last look, in percent.
fn kernel_share(id: &str, facts: &Facts<'_>) -> Option<u64> {
    let find = |report: &Report| report.kernels.iter().find(|kernel| kernel.id == id).cloned();
    let (now, then) = (find(facts.report?)?, find(facts.before?.0)?);
    (now.pid == then.pid).then(|| share(facts, then.cpu_ms, now.cpu_ms)).flatten()
}

fn share(facts: &Facts<'_>, then_ms: u64, now_ms: u64) -> Option<u64> {
    let passed = u64::try_from(facts.before?.1.as_millis()).unwrap_or(u64::MAX);
    now_ms.saturating_sub(then_ms).saturating_mul(100).checked_div(passed)
}

/// Shells with a job in their foreground; of the others what Jupyter says.
fn terminals(facts: &Facts<'_>) -> Vec<Source> {
    let source = |name: &str, state, since, evidence: String| {
        let name = format!("terminal {name}");
        Source { what: What::Terminal, name, state, since, evidence }
    };
    let Some(report) = facts.report else {
        let blind = |terminal: &Terminal| {
            let evidence = "what runs in it cannot be seen".to_owned();
            source(&terminal.name, State::Unknown, None, evidence)
        };
        return facts.terminals.iter().map(blind).collect();
    };
    let quiet = facts.terminals.iter().map(|terminal| {
        let evidence = "nothing runs in it but the shell, or what runs is named below".to_owned();
        source(&terminal.name, State::Idle, terminal.last_activity, evidence)
    });
    let jobs = report.terminals.iter().filter_map(|terminal| {
        let job = terminal.foreground.as_ref()?;
        let name = format!("of process {}", terminal.pid);
        Some(source(&name, State::Active, None, format!("{job} runs in the foreground")))
    });
    quiet.chain(jobs).collect()
}

fn sessions(facts: &Facts<'_>) -> Vec<Source> {
    let source = |name: String, state, evidence: String| Source {
        what: What::Session,
        name,
        state,
        since: None,
        evidence,
    };
    let Some(report) = facts.report else {
        let evidence = "its sessions cannot be seen".to_owned();
        return vec![source("R sessions".to_owned(), State::Unknown, evidence)];
    };
    let sessions = report.sessions.iter().map(|session| {
        let name = format!("R session, process {}", session.pid);
        let then = facts
            .before
            .and_then(|(before, _)| before.sessions.iter().find(|then| then.pid == session.pid));
        let used = then.and_then(|then| share(facts, then.cpu_ms, session.cpu_ms));
        match (used, session.below) {
            // A command that waits for something computes nothing.
            _ if session.executing == Some(true) => {
                source(name, State::Active, "R executes a command".to_owned())
            }
            (Some(share), _) if share >= COMPUTES => {
                source(name, State::Active, format!("it uses {share} % of a core"))
            }
            (_, below) if below > 0 => {
                source(name, State::Active, format!("{below} programs that it started run"))
            }
            (Some(_), _) => source(name, State::Idle, "it computes nothing".to_owned()),
            (None, _) => source(name, State::Unknown, "it was seen only once yet".to_owned()),
        }
    });
    sessions.collect()
}

fn processes(facts: &Facts<'_>) -> Source {
    let then = facts.before.map(|(before, _)| before.cpu_ms);
    let used = facts.report.zip(then).and_then(|(now, then)| share(facts, then, now.cpu_ms));
    let (state, evidence) = match used {
        Some(share) if share >= COMPUTES => (State::Active, format!("it uses {share} % of a core")),
        Some(share) => (State::Idle, format!("it uses {share} % of a core")),
        None => (State::Unknown, "its use of the CPU is not known yet".to_owned()),
    };
    Source { what: What::Processes, name: "processes".to_owned(), state, since: None, evidence }
}

fn in_use(last: &Last, now: Moment) -> Source {
    let ago = now.mono.saturating_sub(last.at);
    let state = if ago < USE { State::Active } else { State::Idle };
    let ago = jiff::SignedDuration::try_from(ago).unwrap_or_default();
    let since = now.wall.checked_sub(ago).ok();
    let evidence = format!("last: {}", last.what);
    Source { what: What::Use, name: "use".to_owned(), state, since, evidence }
}

fn age(now: Moment, since: Timestamp) -> Duration {
    Duration::try_from(now.wall.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
