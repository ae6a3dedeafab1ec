//! The attendant's life: starts the program, watches what is below it, ends it when told to.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Child;
use tokio::sync::mpsc;

use super::executing::Reader;
use super::report::{Ended, LastWord, Question, Report};
use super::sight::Sight;
use super::{
    Arguments, AttendError, Ending, FRONT, INNER, LAST_WORD, SOCKET, channels, relay, rstudio,
    sight, tree,
};
use crate::base::limits;
use crate::base::tasks::Tasks;
use crate::os::command::{self, Program};
use crate::os::process::memory::{self, Memory};
use crate::os::process::{self, Stat};
use crate::os::socket::{self, calls};
use crate::os::{clock, file, signals};

/// How often new kernels are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Ends that nobody has asked for yet.
const ENDS: usize = 64;
/// How long a process that was killed for its memory may stay unnoticed.
const OOM_OPEN: Duration = Duration::from_secs(5);
/// Nobody has to ask: the socket is there as long as the app.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How the program ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last(ExitStatus);

impl Last {
    /// Ends this process in the same way.
    pub(super) fn repeat(self) -> ExitCode {
        if let Some(signal) = self.0.signal().and_then(|raw| Signal::try_from(raw).ok()) {
            signals::die_of(signal);
        }
        let code = self.0.code().and_then(|code| u8::try_from(code).ok());
        code.map_or(ExitCode::FAILURE, ExitCode::from)
    }
}

/// What is known, shared with whoever answers questions.
#[derive(Debug)]
struct Known {
    unit: String,
    pid: i32,
    own: i32,
    ended: VecDeque<Ended>,
    seq: u64,
    /// Kills for memory that have been told of or were none of ours, and since when there are more.
    killed: u64,
    more_since: Option<Duration>,
}

type Shared = Arc<Mutex<Known>>;

struct Attendant {
    arguments: Arguments,
    tasks: Tasks,
    known: Shared,
    own: i32,
    /// Kernels that are watched, with their memory when last seen: one that is killed has none any more
    /// while it ends.
    watched: BTreeMap<i32, u64>,
    told: mpsc::Sender<Gone>,
    stopping: bool,
}

/// A kernel's process is no more; how it ended, if nobody took that first.
struct Gone {
    kernel: String,
    pid: i32,
    status: Option<i32>,
}

pub(super) async fn attend(arguments: Arguments) -> Result<Last, AttendError> {
    let mut stop = signals::Stop::listen().map_err(AttendError::Signals)?;
    // What loses its parent stays below us, and can be seen.
    drop(nix::sys::prctl::set_child_subreaper(true).map_err(std::io::Error::from));
    let (tasks, _ended) = Tasks::new();
    let mode = if arguments.shared { 0o660 } else { 0o600 };
    let place = |name: &str| arguments.folder.join(name);
    let asked = socket::bind_unix(&place(SOCKET), mode).await.map_err(AttendError::Listen)?;
    if let Some(to) = arguments.relay {
        let front = socket::bind_unix(&place(FRONT), mode).await.map_err(AttendError::Listen)?;
        // Not every program replaces a socket that an earlier run has left.
        drop(std::fs::remove_file(place(INNER)));
        tasks.work(relay::serve(tasks.clone(), front, arguments.folder.clone(), to));
    } else {
        // Of the apps that listen by themselves all are Jupyter's.
        let kernels = place(channels::SOCKET);
        let kernels = socket::bind_unix(&kernels, mode).await.map_err(AttendError::Listen)?;
        let folder = arguments.folder.clone();
        tasks.work(channels::serve(tasks.clone(), kernels, folder, arguments.shared));
    }
    if arguments.ending == Ending::RStudio {
        rstudio::prepare(&arguments.folder, arguments.work.as_deref())?;
    }
    let started = clock::since_boot();
    let mut child = command::start_attended(&program(&arguments)).map_err(AttendError::Start)?;
    let (told, mut told_rx) = mpsc::channel(limits::COMMANDS);
    let mut attendant = Attendant::new(arguments, tasks.clone(), &child, told);
    attendant.answer(asked);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let status = loop {
        tokio::select! {
            // cancel-safe: Child::wait can be asked again
            status = child.wait() => break status.map_err(AttendError::Signals)?,
            // cancel-safe: Stop::came is
            _ = stop.came() => attendant.stop(),
            // cancel-safe: Interval::tick loses nothing
            _ = look.tick() => attendant.look(),
            // cancel-safe: mpsc::Receiver::recv loses nothing
            Some(gone) = told_rx.recv() => attendant.gone(gone),
        }
    };
    attendant.last_word(status);
    if attendant.arguments.ending == Ending::RStudio && !attendant.stopping {
        rstudio::explain(clock::since_boot().saturating_sub(started));
    }
    tasks.cancel();
    Ok(Last(status))
}

/// The program as it is started: with our own environment, which is the app's.
fn program(arguments: &Arguments) -> Program {
    let mut command = arguments.command.iter();
    let program = command.next().map(Into::into).unwrap_or_default();
    Program {
        program,
        arguments: command.cloned().collect(),
        environment: std::env::vars().collect(),
        folder: arguments.work.clone().unwrap_or_else(|| arguments.folder.clone()),
        account: None,
    }
}

impl Attendant {
    fn new(arguments: Arguments, tasks: Tasks, child: &Child, told: mpsc::Sender<Gone>) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let own = nix::unistd::getpid().as_raw();
        let known = Known {
            unit: std::env::var("STATIOND_UNIT").unwrap_or_default(),
            pid,
            own,
            ended: VecDeque::new(),
            seq: 0,
            killed: memory::own().map_or(0, |memory| memory.killed),
            more_since: None,
        };
        let known = Arc::new(Mutex::new(known));
        Self { arguments, tasks, known, own, watched: BTreeMap::new(), told, stopping: false }
    }

    /// Tells whoever may connect what there is at this moment.
    fn answer(&self, listener: tokio::net::UnixListener) {
        let (known, properties) = (Arc::clone(&self.known), Reader::default());
        let answer = move |question: Vec<u8>| {
            let (known, properties) = (Arc::clone(&known), properties.clone());
            async move {
                let after = serde_json::from_slice::<Question>(&question).unwrap_or_default().after;
                let mut report = locked(&known).report(after);
                properties.add(&mut report.sessions).await;
                serde_json::to_vec(&report).unwrap_or_default()
            }
        };
        let tasks = self.tasks.clone();
        self.tasks.work(async move {
            calls::serve(&tasks, listener, |_peer| true, FOR_EVER, answer).await;
        });
    }

    fn look(&mut self) {
        self.reap();
        let seen = below(self.own);
        for kernel in &seen.kernels {
            if self.watched.insert(kernel.pid, kernel.memory_bytes).is_none() {
                self.watch(kernel.id.clone(), kernel.pid);
            }
        }
        locked(&self.known).forget_old_kills(clock::since_boot());
    }

    /// Hears of the end, and reads how it was while the process is still known to the kernel: its
    /// parent takes it only when it looks.
    fn watch(&self, kernel: String, pid: i32) {
        let told = self.told.clone();
        self.tasks.work(async move {
            process::ended(pid).await;
            let stat = Stat::read(pid).filter(|stat| stat.state == 'Z');
            let status = stat.map(|stat| stat.exit_status);
            drop(told.send(Gone { kernel, pid, status }).await);
        });
    }

    fn gone(&mut self, gone: Gone) {
        let memory_bytes = self.watched.remove(&gone.pid).unwrap_or_default();
        // At a stop all of them end, and that is no news.
        if self.stopping {
            return;
        }
        let status = gone.status.map(ExitStatus::from_raw);
        let signal = status.and_then(|status| status.signal());
        let mut known = locked(&self.known);
        let oom = known.oom(signal);
        known.seq += 1;
        let ended = Ended {
            seq: known.seq,
            kernel: gone.kernel,
            pid: gone.pid,
            code: status.and_then(|status| status.code()),
            signal,
            at: clock::now().wall.as_millisecond(),
            memory_bytes,
            oom,
        };
        known.ended.push_back(ended);
        if known.ended.len() > ENDS {
            known.ended.pop_front();
        }
    }

    /// Takes the ends of processes that have lost their parent.
    fn reap(&self) {
        let main = locked(&self.known).pid;
        let zombie = |pid: &i32| Stat::read(*pid).is_some_and(|stat| stat.state == 'Z');
        for pid in process::children(self.own).into_iter().filter(|pid| *pid != main && zombie(pid))
        {
            process::reap(pid);
        }
    }

    fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        let (own, pid, ending) = (self.own, locked(&self.known).pid, self.arguments.ending);
        self.tasks.work(async move {
            if ending == Ending::RStudio {
                rstudio::suspend(own).await;
            }
            // A stopped process (SIGSTOP) acts on SIGTERM only after SIGCONT.
            for signal in [Signal::SIGTERM, Signal::SIGCONT] {
                drop(process::signal_group(pid, signal));
            }
        });
    }

    /// Only we know that the kernel of the system has killed the program for its memory.
    fn last_word(&self, status: ExitStatus) {
        let mut known = locked(&self.known);
        let Some(oom) = known.oom(status.signal()).filter(|_| !self.stopping) else { return };
        let word = LastWord { unit: known.unit.clone(), oom };
        let text = serde_json::to_vec(&word).unwrap_or_default();
        let mode = if self.arguments.shared { 0o640 } else { 0o600 };
        // Without it the cause is the signal alone.
        drop(file::write_atomic(&self.arguments.folder.join(LAST_WORD), &text, mode));
    }
}

impl Known {
    fn report(&self, after: u64) -> Report {
        let Sight { kernels, terminals, sessions, cpu_ms } = below(self.own);
        let ended = self.ended.iter().filter(|ended| ended.seq > after).cloned().collect();
        let (unit, pid, memory) = (self.unit.clone(), self.pid, memory::own());
        Report { unit, pid, kernels, terminals, sessions, cpu_ms, memory, ended }
    }

    /// Whether an end by this signal was one of the kills for memory that nobody has told of yet.
    fn oom(&mut self, signal: Option<i32>) -> Option<Memory> {
        if signal != Some(Signal::SIGKILL as i32) {
            return None;
        }
        let memory = memory::own().filter(|memory| memory.killed > self.killed)?;
        self.killed += 1;
        Some(memory)
    }

    /// A kill whose process was no kernel, such as a program that a kernel has started.
    fn forget_old_kills(&mut self, now: Duration) {
        let killed = memory::own().map_or(0, |memory| memory.killed);
        if killed <= self.killed {
            self.more_since = None;
        } else if now.saturating_sub(*self.more_since.get_or_insert(now)) > OOM_OPEN {
            self.killed = killed;
        }
    }
}

/// What is below us, without ourselves.
fn below(own: i32) -> Sight {
    let mut processes = tree::below(own);
    processes.retain(|process| process.pid != own);
    sight::see(&processes)
}

fn locked(known: &Shared) -> std::sync::MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
