//! The writer thread: the only place that changes the database.
//!
//! It takes everything that waits, runs it in one transaction with a savepoint each, commits
//! once, and only then answers and publishes.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;
use station_proto::event::Event;
use tokio::sync::{mpsc, oneshot, watch};

use super::events::{self, NewEvent, State};
use super::{Bus, StoreError};
use crate::base::limits;

/// What the thread is asked to do.
pub(super) enum Command {
    Write(Box<dyn Job>),
    Note(NewEvent),
    /// Asks for the number given last.
    LastSeq(oneshot::Sender<u64>),
    /// Looks whether the file is still there, without a write.
    Look,
    Close(oneshot::Sender<()>),
}

/// One write: run inside the transaction, answered after the commit.
pub(super) trait Job: Send {
    /// `false` rolls this one back.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    fn answer(self: Box<Self>, committed: Result<(), String>);
}

/// An open transaction. It is a [`Connection`] that also takes events.
#[derive(Debug)]
pub struct Tx<'a> {
    connection: &'a Connection,
    state: &'a mut State,
    published: Vec<Event>,
}

impl std::ops::Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Tx<'_> {
    /// Adds an event to this transaction; subscribers hear of it after the commit.
    pub fn event(&mut self, event: NewEvent) -> rusqlite::Result<u64> {
        let seq = self.state.take();
        let event = event.numbered(seq);
        events::insert(self.connection, &event)?;
        self.published.push(event);
        Ok(seq)
    }
}

struct Closure<T, F> {
    change: Option<F>,
    result: Option<rusqlite::Result<T>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

pub(super) fn job<T, F>(change: F, answer: oneshot::Sender<Result<T, StoreError>>) -> Box<dyn Job>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    Box::new(Closure { change: Some(change), result: None, answer })
}

impl<T, F> Job for Closure<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        self.result = self.change.take().map(|change| change(tx));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), String>) {
        let answer = match (committed, self.result) {
            (Err(why), _) => Err(StoreError::Commit(why)),
            (Ok(()), Some(result)) => result.map_err(StoreError::Write),
            (Ok(()), None) => Err(StoreError::Stopped),
        };
        drop(self.answer.send(answer));
    }
}

pub(super) fn start(
    connection: Connection,
    state: State,
    out: Out,
    commands: mpsc::Receiver<Command>,
) -> Result<(), StoreError> {
    let identity = identity(&out.path);
    let mut writer = Writer { connection, state, out, identity, held: Held::default() };
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || writer.run(commands))
        .map(drop)
        .map_err(StoreError::Thread)
}

/// Which file it is, whatever its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Where the thread tells of what it did.
pub(super) struct Out {
    pub path: PathBuf,
    /// Events that found no place in the queue.
    pub dropped: Arc<AtomicU64>,
    /// Set while the thread is inside of a transaction.
    pub at_disk: Arc<AtomicBool>,
    pub bus: Bus<Event>,
    pub trouble: watch::Sender<Option<String>>,
}

/// Events that the disk has not taken yet.
#[derive(Default)]
struct Held {
    events: VecDeque<Event>,
    lost: u64,
}

impl Held {
    fn keep(&mut self, event: Event) {
        if self.events.len() >= limits::EVENTS_UNWRITTEN {
            self.events.pop_front();
            self.lost += 1;
        }
        self.events.push_back(event);
    }
}

struct Writer {
    connection: Connection,
    state: State,
    out: Out,
    /// The file that was opened.
    identity: Option<(u64, u64)>,
    held: Held,
}

impl Writer {
    /// A file that was removed still takes commits, and nobody finds them again.
    fn present(&self) -> Result<(), String> {
        if identity(&self.out.path) == self.identity {
            return Ok(());
        }
        let path = self.out.path.display();
        Err(format!("{path} was removed or replaced while stationd used it: restart stationd"))
    }

    fn tell(&self, latest: Option<&String>) {
        self.out.trouble.send_if_modified(|trouble| {
            let changed = trouble.as_ref() != latest;
            *trouble = latest.cloned();
            changed
        });
    }

    fn run(&mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < limits::COMMANDS
                && let Ok(next) = commands.try_recv()
            {
                batch.push(next);
            }
            if let Some(done) = self.batch(batch) {
                // Nobody waits for the answer any more: that is fine.
                done.send(()).unwrap_or(());
                return;
            }
        }
    }

    /// Runs everything that waited; the answer to a close, if there was one.
    fn batch(&mut self, batch: Vec<Command>) -> Option<oneshot::Sender<()>> {
        let (mut jobs, mut closing) = (Vec::new(), None);
        self.held.lost += self.out.dropped.swap(0, Ordering::Relaxed);
        for command in batch {
            match command {
                Command::Write(job) => jobs.push(job),
                Command::Note(event) => {
                    let seq = self.state.take();
                    let event = event.numbered(seq);
                    self.out.bus.publish(event.clone());
                    self.held.keep(event);
                }
                Command::Look => {
                    if let Err(gone) = self.present() {
                        self.tell(Some(&gone));
                    }
                }
                Command::LastSeq(answer) => answer.send(self.state.last()).unwrap_or_default(),
                Command::Close(done) => closing = Some(done),
            }
        }
        if jobs.is_empty() && self.held.events.is_empty() && self.held.lost == 0 {
            return closing;
        }
        self.out.at_disk.store(true, Ordering::Relaxed);
        let committed = self.commit(&mut jobs);
        self.out.at_disk.store(false, Ordering::Relaxed);
        if let Err(error) = &committed {
            tracing::error!(error, held = self.held.events.len(), "the disk took no write");
        }
        self.tell(committed.as_ref().err());
        for job in jobs {
            job.answer(committed.clone());
        }
        closing
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), String> {
        self.present()?;
        let (published, reserved) = self.transaction(jobs).map_err(|error| {
            // After a failed commit the transaction may still be open.
            drop(self.connection.execute_batch("ROLLBACK"));
            error.to_string()
        })?;
        self.state.committed(reserved);
        self.state.trim(&self.connection, published.len() + self.held.events.len());
        self.held = Held::default();
        for event in published {
            self.out.bus.publish(event);
        }
        Ok(())
    }

    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<(Vec<Event>, u64)> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let Self { connection, state, .. } = self;
        let mut tx = Tx { connection, state, published: Vec::new() };
        for job in jobs {
            connection.execute_batch("SAVEPOINT one")?;
            let before = tx.published.len();
            if !job.run(&mut tx) {
                tx.published.truncate(before);
                connection.execute_batch("ROLLBACK TO one")?;
            }
            connection.execute_batch("RELEASE one")?;
        }
        if self.held.lost > 0 {
            let lost = self.held.lost;
            let message = format!("{lost} events were lost: the disk took no writes in time");
            let gap = NewEvent::new("gap", "", message);
            tx.event(gap.with(serde_json::json!({ "count": lost })))?;
        }
        let published = tx.published;
        for event in &self.held.events {
            events::insert(connection, event)?;
        }
        let reserved = state.reserve(connection)?;
        connection.execute_batch("COMMIT")?;
        Ok((published, reserved))
    }
}
