//! Events in the store: numbering, rows, pages.

use rusqlite::{Connection, Row, params};
use station_proto::event::Event;
use station_proto::time::Time;

use crate::base::limits;
use crate::os::clock;

/// An event that has no number yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    kind: &'static str,
    subject: String,
    message: String,
    data: serde_json::Value,
}

impl NewEvent {
    pub fn new(kind: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Self { kind, subject, message, data: serde_json::Value::Null }
    }

    /// Adds details for programs.
    #[must_use]
    pub fn with(mut self, data: serde_json::Value) -> Self {
        self.data = data;
        self
    }

    pub(super) fn numbered(self, seq: u64) -> Event {
        let Self { kind, subject, message, data } = self;
        Event { seq, at: Time(clock::now().wall), kind: kind.to_owned(), subject, message, data }
    }
}

/// Events in order, and what is known of those before.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<Event>,
    pub(super) oldest_kept: Option<u64>,
    /// Whether any event has ever been removed for its age.
    pub(super) trimmed: bool,
}

/// Numbers are reserved in blocks, so that one is never given twice even if the event that
/// carried it was lost with a full disk.
const BLOCK: u64 = 1000;

/// The numbering. Lives on the writer thread.
#[derive(Debug)]
pub(super) struct State {
    next: u64,
    reserved: u64,
    since_trim: u64,
}

impl State {
    pub(super) fn load(connection: &mut Connection) -> rusqlite::Result<Self> {
        let last: i64 = connection.query_row(
            "SELECT max(reserved, coalesce((SELECT max(seq) FROM events), 0)) FROM events_sequence",
            [],
            |row| row.get(0),
        )?;
        let last = u64::try_from(last).unwrap_or(0);
        Ok(Self { next: last + 1, reserved: last, since_trim: 0 })
    }

    pub(super) fn take(&mut self) -> u64 {
        let seq = self.next;
        self.next += 1;
        seq
    }

    /// The number given last; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Makes sure, inside the transaction, that no number taken so far is given again. What it
    /// gives back holds after the commit: see [`State::committed`].
    pub(super) fn reserve(&self, connection: &Connection) -> rusqlite::Result<u64> {
        if self.next <= self.reserved {
            return Ok(self.reserved);
        }
        let reserved = self.next + BLOCK;
        connection.execute("UPDATE events_sequence SET reserved = ?1", [signed(reserved)])?;
        Ok(reserved)
    }

    pub(super) fn committed(&mut self, reserved: u64) {
        self.reserved = reserved;
    }

    /// Removes events beyond the number that is kept, now and then.
    pub(super) fn trim(&mut self, connection: &Connection, written: usize) {
        self.since_trim += u64::try_from(written).unwrap_or(0);
        if self.since_trim < BLOCK {
            return;
        }
        self.since_trim = 0;
        let oldest = self.next.saturating_sub(limits::EVENTS_KEPT);
        let trimmed = connection
            .execute("DELETE FROM events WHERE seq < ?1", [signed(oldest)])
            .and_then(|rows| match rows {
                0 => Ok(0),
                _ => connection.execute("UPDATE events_sequence SET trimmed = 1", []),
            });
        if let Err(error) = trimmed {
            tracing::warn!(%error, "old events could not be removed");
        }
    }
}

pub(super) fn insert(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            signed(event.seq),
            event.at.as_ms(),
            event.kind,
            event.subject,
            event.message,
            event.data.to_string(),
        ])
        .map(|_rows| ())
}

pub(super) fn page(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<Page> {
    let (oldest, trimmed): (Option<i64>, bool) = connection.query_row(
        "SELECT (SELECT min(seq) FROM events), trimmed FROM events_sequence",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut rows = connection.prepare_cached(
        "SELECT seq, at_ms, kind, subject, message, data FROM events
         WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let events =
        rows.query_map([signed(after), limit], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let oldest_kept = oldest.and_then(|seq| u64::try_from(seq).ok());
    Ok(Page { events, oldest_kept, trimmed })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Event> {
    let seq: i64 = row.get(0)?;
    let data: String = row.get(5)?;
    Ok(Event {
        seq: u64::try_from(seq).unwrap_or(0),
        at: Time::from_ms(row.get(1)?).unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH)),
        kind: row.get(2)?,
        subject: row.get(3)?,
        message: row.get(4)?,
        data: serde_json::from_str(&data).unwrap_or_default(),
    })
}

/// SQLite integers are signed; sequence numbers stay far below the limit.
fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
