//! The store: one SQLite file, `stationd.db`, opened here alone.
//!
//! ```text
//!   feature ── write(closure) ──► writer thread ──► BEGIN … closures … COMMIT (fsync) ──► answers
//!   feature ── note(event)    ──►      │                                             └──► event bus
//!   feature ── read(closure)  ──► reader thread (read-only connection)
//! ```
//!
//! Invariants:
//! - A write is answered after its commit is on disk (WAL, `synchronous = FULL`), never before.
//!   Writes that wait together share one commit.
//! - State and the event that tells of it stand in one transaction (`tx.event`).
//! - `events.seq` only grows, over restarts and reboots too; numbers may be skipped.
//! - `note` never gates: while the disk takes nothing, events are held in bounded memory and
//!   written later; what did not fit is told by a `gap` event with its count.
//! - A feature owns the tables that begin with its name. A file written by a newer release is
//!   refused by name; a copy is made before a migration.

mod events;
mod reader;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;
use station_proto::event::Event;
use tokio::sync::{mpsc, oneshot, watch};

use crate::base::bus::{Bus, Subscription};
use crate::base::limits;
use crate::os::file::FileError;

pub use events::{NewEvent, Page};
pub use schema::Feature;
pub use writer::Tx;

/// A feature's access to the store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    writer: mpsc::Sender<writer::Command>,
    reader: mpsc::Sender<reader::Job>,
    events: Bus<Event>,
    /// Why the disk took no write last time; `None` while it does.
    trouble: watch::Receiver<Option<String>>,
    /// Events that found no place in the writer's queue; it tells of them.
    dropped: Arc<AtomicU64>,
    /// The writer is inside of a transaction.
    at_disk: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open the database {path}")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "{path} holds the tables of {feature} in version {found}, and this release knows \
         {known}: it was written by a newer stationd; install that one, or put back the copy \
         beside it ({path}.before-{feature}-{found})"
    )]
    Newer { path: PathBuf, feature: &'static str, found: i64, known: i64 },
    #[error("cannot bring the tables of {feature} to version {version}")]
    Migrate { feature: &'static str, version: i64, source: rusqlite::Error },
    #[error("cannot keep the database readable for its owner alone")]
    Private(#[source] FileError),
    #[error("cannot write to the database")]
    Write(#[source] rusqlite::Error),
    #[error("the disk did not take the write: {0}")]
    Commit(String),
    #[error("cannot read from the database")]
    Read(#[source] rusqlite::Error),
    #[error("the database thread has stopped")]
    Stopped,
    #[error("the disk did not answer within {} s", limits::STORE_WRITE.as_secs())]
    TimedOut,
    #[error("cannot start a database thread")]
    Thread(#[source] std::io::Error),
    #[error("events up to {0} are no longer kept")]
    Gone(u64),
}

impl Store {
    /// Opens the file, makes or migrates every feature's tables and starts the two threads.
    pub fn open(path: &Path, features: &[Feature]) -> Result<Self, StoreError> {
        let mut connection = schema::open(path, features)?;
        let state = events::State::load(&mut connection)
            .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        let events = Bus::new(limits::EVENT_BACKLOG);
        let (writer, writer_rx) = mpsc::channel(limits::COMMANDS);
        let (reader, reader_rx) = mpsc::channel(limits::COMMANDS);
        let (publish, trouble) = watch::channel(None);
        let (dropped, at_disk) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let out = writer::Out {
            path: path.to_owned(),
            dropped: Arc::clone(&dropped),
            at_disk: Arc::clone(&at_disk),
            bus: events.clone(),
            trouble: publish,
        };
        writer::start(connection, state, out, writer_rx)?;
        reader::start(path, reader_rx)?;
        Ok(Self { writer, reader, events, trouble, dropped, at_disk })
    }

    /// Runs `change` in a transaction and answers when it is on disk.
    ///
    /// If it returns an error, nothing of it is kept.
    pub async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answer_rx) = oneshot::channel();
        let job = writer::job(change, answer);
        in_time(exchange(&self.writer, writer::Command::Write(job), answer_rx)).await?
    }

    /// Records an event without waiting for the disk.
    pub fn note(&self, event: NewEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) =
            self.writer.try_send(writer::Command::Note(event))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("an event was dropped: the database thread is too far behind");
        }
    }

    /// Runs `query` on a read-only connection.
    pub async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answer_rx) = oneshot::channel();
        let job: reader::Job = Box::new(move |connection| {
            drop(answer.send(query(connection)));
        });
        let answer = in_time(exchange(&self.reader, job, answer_rx)).await?;
        answer.map_err(StoreError::Read)
    }

    /// Why the disk took no write last time; `None` while it takes them.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// Tries the disk again after trouble: what is held is written with it, and
    /// [`Store::trouble`] tells how it went. The row comes and goes, so that a page is written.
    pub async fn retry(&self) {
        let tried = self.write(|tx| {
            tx.execute("INSERT OR REPLACE INTO schema VALUES ('retry', 0)", [])?;
            tx.execute("DELETE FROM schema WHERE feature = 'retry'", [])
        });
        if let Err(error) = tried.await {
            tracing::debug!(%error, "the disk still takes no write");
        }
    }

    /// Looks whether the file is still there; [`Store::trouble`] tells if it is not.
    pub fn look(&self) {
        // A full queue means that a write comes, which looks too.
        drop(self.writer.try_send(writer::Command::Look));
    }

    /// Events from now on; read [`Store::events_after`] for earlier ones.
    pub fn subscribe(&self) -> Subscription<Event> {
        self.events.subscribe()
    }

    /// At most `limit` events after `seq`, oldest first; [`StoreError::Gone`] if some of them
    /// are no longer kept.
    pub async fn events_after(&self, seq: u64, limit: usize) -> Result<Page, StoreError> {
        let page = self.read(move |connection| events::page(connection, seq, limit)).await?;
        match page.oldest_kept {
            Some(oldest) if seq + 1 < oldest && page.trimmed => Err(StoreError::Gone(oldest - 1)),
            _ => Ok(page),
        }
    }

    /// The number of the last event, at least as new as every `note` and `write` before this call.
    ///
    /// It does not wait for the disk, unless the disk hangs: then [`StoreError::TimedOut`].
    pub async fn last_seq(&self) -> Result<u64, StoreError> {
        let (answer, answer_rx) = oneshot::channel();
        let command = writer::Command::LastSeq(answer);
        self.writer.try_send(command).map_err(|_full_or_closed| StoreError::TimedOut)?;
        tokio::time::timeout(limits::STATUS_WRITE, answer_rx)
            .await
            .map_err(|_elapsed| StoreError::TimedOut)?
            .map_err(|_closed| StoreError::Stopped)
    }

    /// Whether the writer thread goes round, or waits for the disk and for nothing else: a disk that
    /// hangs is no fault of the thread, and nothing that a new process would mend.
    pub async fn goes_round(&self) -> bool {
        self.last_seq().await.is_ok() || self.at_disk.load(Ordering::Relaxed)
    }

    /// Writes what is held and closes the file. Later calls answer [`StoreError::Stopped`].
    pub async fn close(&self) {
        let (done, done_rx) = oneshot::channel();
        let closed = in_time(exchange(&self.writer, writer::Command::Close(done), done_rx)).await;
        if let Err(StoreError::TimedOut) = closed {
            tracing::error!("the database was not closed in time: what it held may be lost");
        }
    }
}

/// Hands a command to a thread and waits for its answer.
async fn exchange<C, T>(
    to: &mpsc::Sender<C>,
    command: C,
    answer: oneshot::Receiver<T>,
) -> Result<T, StoreError> {
    to.send(command).await.map_err(|_closed| StoreError::Stopped)?;
    answer.await.map_err(|_closed| StoreError::Stopped)
}

/// One limit for the place in the queue and the answer together.
async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let limited = tokio::time::timeout(limits::STORE_WRITE, answer).await;
    limited.unwrap_or(Err(StoreError::TimedOut))
}

#[cfg(test)]
mod tests;
