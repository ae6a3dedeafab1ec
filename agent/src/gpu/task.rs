//! Listens to the child, to the kernel and to the clock, and runs what the state decides.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::asleep::Sleepers;
use super::state::{Effect, Event, State};
use super::xid::line;
use super::{Config, Latencies, Seen, files, view};
use crate::base::chain::Chain;
use crate::base::moment::Moment;
use crate::base::tasks::pulse::Pulse;
use crate::os::clock;
use crate::os::machine::kmsg::Record;
use crate::probe::gpu::Said;
use crate::probe::{GpuError, Probe};

/// How often the files are read and the time is looked at.
const LOOK: Duration = Duration::from_secs(5);

pub(super) struct Task {
    probe: Probe,
    state: State,
    sleepers: Sleepers,
    publish: watch::Sender<Arc<Seen>>,
    child: Option<Child>,
    waiting: Option<Latencies>,
}

/// The connection to the child.
struct Child {
    lines: Lines<BufReader<OwnedReadHalf>>,
    commands: OwnedWriteHalf,
}

impl Child {
    fn new(stream: UnixStream) -> Self {
        let (read, commands) = stream.into_split();
        Self { lines: BufReader::new(read).lines(), commands }
    }
}

/// What comes of the child: a line, or its end.
async fn next(child: &mut Option<Child>) -> Option<String> {
    match child {
        Some(child) => child.lines.next_line().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// When a message was written.
fn at(record: &Record) -> Moment {
    let now = clock::now();
    let ago = now.mono.saturating_sub(record.at);
    let back = jiff::SignedDuration::try_from(ago).unwrap_or_default();
    Moment { mono: record.at, wall: now.wall.checked_sub(back).unwrap_or(now.wall) }
}

pub(super) async fn run(
    mut task: Task,
    (mut kernel, mut asked): (mpsc::Receiver<Record>, mpsc::Receiver<Latencies>),
    mut pulse: Pulse,
    cancel: CancellationToken,
) {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // cancel-safe: a token loses nothing
            () = cancel.cancelled() => return,
            // cancel-safe: it is asked again
            () = pulse.sign() => {}
            // cancel-safe: a tick that was not taken comes again
            _ = tick.tick() => {
                task.advance(Event::Files(files::read())).await;
                task.look_for_stuck().await;
                task.step(Event::Tick).await;
            }
            // cancel-safe: what was read of a line stays in the reader
            line = next(&mut task.child) => task.heard(line).await,
            // cancel-safe: a receiver loses nothing
            Some(record) = kernel.recv() => {
                if let Some(line) = line::parse(&record.text) {
                    task.step(Event::Kernel(line, at(&record))).await;
                }
            }
            // cancel-safe: a receiver loses nothing
            Some(who) = asked.recv() => task.ask_latencies(who).await,
        }
    }
}

impl Task {
    pub(super) fn new(config: Config, probe: Probe, publish: watch::Sender<Arc<Seen>>) -> Self {
        let state = State::expecting(config.expected);
        let sleepers = Sleepers::default();
        Self { probe, state, sleepers, publish, child: None, waiting: None }
    }

    /// Without a driver there is nothing to be stuck in.
    async fn look_for_stuck(&mut self) {
        if let Some(listed) = self.state.users() {
            let asleep = self.sleepers.look(clock::since_boot(), listed);
            self.advance(Event::Asleep(asleep)).await;
        }
    }

    async fn heard(&mut self, line: Option<String>) {
        let Some(line) = line else {
            self.child = None;
            return self.step(Event::Ended).await;
        };
        match serde_json::from_str(&line) {
            Ok(Said::Latency(latencies)) => {
                if let Some(who) = self.waiting.take() {
                    drop(who.send(latencies));
                }
            }
            Ok(said) => self.step(Event::Said(said)).await,
            Err(error) => {
                tracing::warn!(%error, "the process that asks the GPUs is not understood");
            }
        }
    }

    async fn ask_latencies(&mut self, who: Latencies) {
        // Without a child, whoever asks is told so by the end of the channel.
        self.waiting = None;
        if let Some(child) = &mut self.child
            && child.commands.write_all(b"latency\n").await.is_ok()
        {
            self.waiting = Some(who);
        }
    }

    async fn step(&mut self, event: Event) {
        self.advance(event).await;
        let seen = view::seen(&self.state, clock::now());
        self.publish.send_if_modified(|before| {
            let changed = **before != seen;
            if changed {
                *before = Arc::new(seen);
            }
            changed
        });
    }

    /// Without showing it: another event follows at once.
    async fn advance(&mut self, event: Event) {
        let effects = self.state.step(clock::now(), event);
        for effect in effects {
            match effect {
                Effect::Stop => self.child = None,
                Effect::Start(ask) => match self.probe.gpu(&ask).await {
                    Ok(stream) => self.child = Some(Child::new(stream)),
                    Err(error) => {
                        tracing::warn!(error = %Chain(&error), "the GPUs are not asked");
                        let stuck = match error {
                            GpuError::Stuck { pid } => Some(pid),
                            _ => None,
                        };
                        let effects = self.state.step(clock::now(), Event::NotStarted { stuck });
                        debug_assert!(effects.is_empty(), "a failed start asks for nothing");
                    }
                },
            }
        }
    }
}
