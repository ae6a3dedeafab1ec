//! The writer thread: the only place that changes the database.
//!
//! It takes everything that waits, runs it in one transaction with a savepoint each, commits
//! once, and only then answers and publishes.

use std::collections::VecDeque;

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
    let mut writer = Writer { connection, state, out, held: Held::default() };
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || writer.run(commands))
        .map(drop)
        .map_err(StoreError::Thread)
}

/// Where the thread tells of what it did.
pub(super) struct Out {
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
    held: Held,
}

impl Writer {
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
        for command in batch {
            match command {
                Command::Write(job) => jobs.push(job),
                Command::Note(event) => {
                    let seq = self.state.take();
                    let event = event.numbered(seq);
                    self.out.bus.publish(event.clone());
                    self.held.keep(event);
                }
                Command::LastSeq(answer) => answer.send(self.state.last()).unwrap_or_default(),
                Command::Close(done) => closing = Some(done),
            }
        }
        if jobs.is_empty() && self.held.events.is_empty() {
            return closing;
        }
        let committed = self.commit(&mut jobs);
        if let Err(error) = &committed {
            tracing::error!(error, held = self.held.events.len(), "the disk took no write");
        }
        self.out.trouble.send_if_modified(|trouble| {
            let changed = trouble.as_ref() != committed.as_ref().err();
            trouble.clone_from(&committed.as_ref().err().cloned());
            changed
        });
        for job in jobs {
            job.answer(committed.clone());
        }
        closing
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), String> {
        let published = self.transaction(jobs).map_err(|error| {
            // After a failed commit the transaction may still be open.
            drop(self.connection.execute_batch("ROLLBACK"));
            error.to_string()
        })?;
        self.state.trim(&self.connection, published.len() + self.held.events.len());
        self.held = Held::default();
        for event in published {
            self.out.bus.publish(event);
        }
        Ok(())
    }

    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<Vec<Event>> {
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
            let gap =
                NewEvent::new("gap", "", format!("{lost} events were lost: the disk was full"));
            tx.event(gap.with(serde_json::json!({ "count": lost })))?;
        }
        let published = tx.published;
        for event in &self.held.events {
            events::insert(connection, event)?;
        }
        state.reserve(connection)?;
        connection.execute_batch("COMMIT")?;
        Ok(published)
    }
}
