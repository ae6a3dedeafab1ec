//! Login links and sessions in the database. Every function runs inside one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::age::Stamp;
use super::next::NextPath;
use super::sessions::{SESSIONS_MAX, Use};
use super::token::secret::Hash;
use crate::store::{Feature, NewEvent, Tx};

/// The tables of this feature, to be given to `Store::open`.
pub const FEATURE: Feature = Feature {
    name: "identity",
    migrations: &[
        FIRST,
        "CREATE INDEX identity_link_open ON identity_link (id) WHERE state = 'open'",
        super::token::TABLE,
        super::token::ACTIONS,
    ],
};

const FIRST: &str = "CREATE TABLE identity_instance (
            id TEXT NOT NULL,
            machine TEXT NOT NULL,
            created_ms INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE identity_link (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            hash BLOB NOT NULL UNIQUE,
            user TEXT NOT NULL,
            next TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('open', 'used', 'expired')),
            refused INTEGER NOT NULL,
            boot TEXT NOT NULL,
            mono_ms INTEGER NOT NULL,
            wall_ms INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE identity_session (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            hash BLOB NOT NULL UNIQUE,
            user TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            age_ms INTEGER NOT NULL,
            boot TEXT NOT NULL,
            mono_ms INTEGER NOT NULL,
            wall_ms INTEGER NOT NULL
        ) STRICT;";

/// A link can be used for this long.
pub(super) const LINK_LIFE_MS: i64 = 10 * 60 * 1000;
/// A used or expired link is known by name for this long.
const LINK_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;
/// Links that are kept at one time; the oldest make room.
const LINKS_MAX: u32 = 1024;
/// Links that can be used at one time; the oldest make room.
pub(super) const OPEN_MAX: u32 = 32;
/// Old links that one look finds; the next one finds more.
const FORGOTTEN_AT_ONCE: u32 = 64;
/// Refusals of one link that are told as events: a link that is tried for ever fills no disk.
const REFUSALS_TOLD: i64 = 10;

/// How a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    Open { user: String, next: NextPath },
    Used { next: NextPath },
    Expired { next: NextPath },
    Unknown,
}

/// A link's row.
struct Found {
    id: i64,
    user: String,
    next: NextPath,
    state: String,
    refused: i64,
    created: Stamp,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let next: String = row.get(2)?;
        Ok(Self {
            id: row.get(0)?,
            user: row.get(1)?,
            next: NextPath::parse(&next).unwrap_or_else(|_changed_rules| NextPath::root()),
            state: row.get(3)?,
            refused: row.get(4)?,
            created: Stamp { boot: row.get(5)?, mono_ms: row.get(6)?, wall_ms: row.get(7)? },
        })
    }

    fn late(&self, now: &Stamp) -> bool {
        self.created.elapsed_ms(now).is_none_or(|elapsed| elapsed >= LINK_LIFE_MS)
    }

    fn link(self, now: &Stamp) -> Link {
        let late = self.late(now);
        let Self { user, next, state, .. } = self;
        match state.as_str() {
            "open" if !late => Link::Open { user, next },
            "used" => Link::Used { next },
            _ => Link::Expired { next },
        }
    }
}

const LINK_COLUMNS: &str = "id, user, next, state, refused, boot, mono_ms, wall_ms";

fn find(connection: &Connection, hash: &Hash) -> rusqlite::Result<Option<Found>> {
    connection
        .prepare_cached(&format!("SELECT {LINK_COLUMNS} FROM identity_link WHERE hash = ?1"))?
        .query_row([hash], Found::read)
        .optional()
}

pub(super) fn create_link(
    tx: &mut Tx<'_>,
    hash: &Hash,
    user: &str,
    next: &NextPath,
    now: &Stamp,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO identity_link (hash, user, next, state, refused, boot, mono_ms, wall_ms)
         VALUES (?1, ?2, ?3, 'open', 0, ?4, ?5, ?6)",
        params![hash, user, next.as_str(), now.boot, now.mono_ms, now.wall_ms],
    )?;
    let id = tx.last_insert_rowid();
    tx.execute(
        "DELETE FROM identity_link WHERE id NOT IN
           (SELECT id FROM identity_link ORDER BY id DESC LIMIT ?1)",
        [LINKS_MAX],
    )?;
    drop_open(tx, now)?;
    let message = format!("a login link was made for {user}; it can be used once, for 10 minutes");
    let data = serde_json::json!({ "link": id });
    tx.event(NewEvent::new("login.created", user, message).with(data)).map(|_seq| ())
}

/// Takes the oldest unused links away where there are too many.
fn drop_open(tx: &mut Tx<'_>, now: &Stamp) -> rusqlite::Result<()> {
    let (over, late): (Vec<Found>, Vec<Found>) =
        open(tx, OPEN_MAX)?.into_iter().partition(|link| !link.late(now));
    for link in &late {
        expire_link(tx, link)?;
    }
    for link in &over {
        tx.execute("UPDATE identity_link SET state = 'expired' WHERE id = ?1", [link.id])?;
        let message = format!(
            "a login link of {} can no longer be used: {OPEN_MAX} newer ones were made",
            link.user
        );
        let data = serde_json::json!({ "link": link.id });
        tx.event(NewEvent::new("login.dropped", link.user.as_str(), message).with(data))?;
    }
    Ok(())
}

/// Unused links without the newest `skip`, by the index of their own.
fn open(connection: &Connection, skip: u32) -> rusqlite::Result<Vec<Found>> {
    connection
        .prepare_cached(&format!(
            "SELECT {LINK_COLUMNS} FROM identity_link WHERE state = 'open'
             ORDER BY id DESC LIMIT -1 OFFSET ?1"
        ))?
        .query_map([skip], Found::read)?
        .collect()
}

/// How the link stands, and whether using it now would change anything on disk.
pub(super) fn peek(
    connection: &Connection,
    hash: &Hash,
    now: &Stamp,
) -> rusqlite::Result<(Link, bool)> {
    Ok(match find(connection, hash)? {
        None => (Link::Unknown, false),
        Some(found) => {
            let changes =
                found.state == "open" || (found.state == "used" && found.refused < REFUSALS_TOLD);
            (found.link(now), changes)
        }
    })
}

/// What using a link came to.
pub(super) enum Redemption {
    Session { id: u64, user: String, next: NextPath, dropped: Vec<u64> },
    Refused(Link),
}

/// Uses the link: the only place that begins a session.
pub(super) fn redeem(
    tx: &mut Tx<'_>,
    link: &Hash,
    session: &Hash,
    now: &Stamp,
) -> rusqlite::Result<Redemption> {
    let Some(found) = find(tx, link)? else {
        return Ok(Redemption::Refused(Link::Unknown));
    };
    if found.state == "open" && found.late(now) {
        expire_link(tx, &found)?;
    } else if found.state == "open" {
        return begin(tx, found, session, now);
    } else if found.state == "used" && found.refused < REFUSALS_TOLD {
        tx.execute("UPDATE identity_link SET refused = refused + 1 WHERE id = ?1", [found.id])?;
        let message = format!("a login link of {} was used again and refused", found.user);
        let data = serde_json::json!({ "link": found.id });
        tx.event(NewEvent::new("login.reused", found.user.as_str(), message).with(data))?;
    }
    Ok(Redemption::Refused(found.link(now)))
}

fn begin(
    tx: &mut Tx<'_>,
    found: Found,
    session: &Hash,
    now: &Stamp,
) -> rusqlite::Result<Redemption> {
    let Found { id: link, user, next, .. } = found;
    tx.execute("UPDATE identity_link SET state = 'used' WHERE id = ?1", [link])?;
    tx.execute(
        "INSERT INTO identity_session (hash, user, since_ms, age_ms, boot, mono_ms, wall_ms)
         VALUES (?1, ?2, ?3, 0, ?4, ?5, ?3)",
        params![session, user, now.wall_ms, now.boot, now.mono_ms],
    )?;
    let id = unsigned(tx.last_insert_rowid());
    let dropped: Vec<u64> = tx
        .prepare(
            "DELETE FROM identity_session WHERE id NOT IN
               (SELECT id FROM identity_session ORDER BY id DESC LIMIT ?1) RETURNING id",
        )?
        .query_map([SESSIONS_MAX], |row| row.get(0).map(unsigned))?
        .collect::<rusqlite::Result<_>>()?;
    for gone in &dropped {
        let message = "the session ended: there were too many, and it was the oldest";
        let data = serde_json::json!({ "session": gone });
        tx.event(NewEvent::new("session.dropped", user.as_str(), message).with(data))?;
    }
    let data = serde_json::json!({ "link": link, "session": id });
    let message = format!("{user} logged in with a login link");
    tx.event(NewEvent::new("login.used", user.as_str(), message).with(data))?;
    Ok(Redemption::Session { id, user, next, dropped })
}

fn expire_link(tx: &mut Tx<'_>, found: &Found) -> rusqlite::Result<()> {
    tx.execute("UPDATE identity_link SET state = 'expired' WHERE id = ?1", [found.id])?;
    let message = format!("a login link of {} expired unused", found.user);
    let data = serde_json::json!({ "link": found.id });
    tx.event(NewEvent::new("login.expired", found.user.as_str(), message).with(data))?;
    Ok(())
}

/// Links that are due: unused ones past their life, and those that nobody needs to know any more.
fn due(connection: &Connection, now: &Stamp) -> rusqlite::Result<(Vec<Found>, Vec<i64>)> {
    let late = open(connection, 0)?.into_iter().filter(|link| link.late(now)).collect();
    // The lowest ids are the oldest links, so that the look ends with the first that is kept.
    let mut oldest = connection.prepare_cached(&format!(
        "SELECT {LINK_COLUMNS} FROM identity_link ORDER BY id LIMIT {FORGOTTEN_AT_ONCE}"
    ))?;
    let mut forgotten = Vec::new();
    for link in oldest.query_map([], Found::read)? {
        let link = link?;
        if link.created.elapsed_ms(now).is_some_and(|age| age < LINK_KEPT_MS) {
            break;
        }
        forgotten.push(link.id);
    }
    Ok((late, forgotten))
}

pub(super) fn any_link_due(connection: &Connection, now: &Stamp) -> rusqlite::Result<bool> {
    due(connection, now).map(|(late, forgotten)| !late.is_empty() || !forgotten.is_empty())
}

pub(super) fn sweep_links(tx: &mut Tx<'_>, now: &Stamp) -> rusqlite::Result<()> {
    let (late, forgotten) = due(tx, now)?;
    for link in &late {
        expire_link(tx, link)?;
    }
    for id in forgotten {
        tx.execute("DELETE FROM identity_link WHERE id = ?1", [id])?;
    }
    Ok(())
}

/// A session's row.
pub(super) struct Kept {
    pub(super) id: u64,
    pub(super) hash: Hash,
    pub(super) user: String,
    pub(super) since: Timestamp,
    /// From the login to the last use.
    pub(super) age_ms: i64,
    pub(super) used: Stamp,
}

pub(super) fn sessions(connection: &Connection) -> rusqlite::Result<Vec<Kept>> {
    let mut query = connection.prepare(
        "SELECT id, hash, user, since_ms, age_ms, boot, mono_ms, wall_ms FROM identity_session",
    )?;
    let rows = query.query_map([], |row| {
        let since = Timestamp::from_millisecond(row.get(3)?);
        Ok(Kept {
            id: unsigned(row.get(0)?),
            hash: row.get(1)?,
            user: row.get(2)?,
            since: since.unwrap_or(Timestamp::UNIX_EPOCH),
            age_ms: row.get(4)?,
            used: Stamp { boot: row.get(5)?, mono_ms: row.get(6)?, wall_ms: row.get(7)? },
        })
    })?;
    rows.collect()
}

pub(super) fn write_uses(tx: &Tx<'_>, uses: &[Use], now: &Stamp) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE identity_session SET age_ms = ?2, boot = ?3, mono_ms = ?4, wall_ms = ?5
         WHERE id = ?1",
    )?;
    for one in uses {
        let wall_ms = now.wall_ms.saturating_sub(now.mono_ms.saturating_sub(one.used_ms));
        update.execute(params![signed(one.id), one.age_ms, now.boot, one.used_ms, wall_ms])?;
    }
    Ok(())
}

pub(super) fn delete_sessions(tx: &Tx<'_>, ids: &[u64]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM identity_session WHERE id = ?1")?;
    for id in ids {
        delete.execute([signed(*id)])?;
    }
    Ok(())
}

/// SQLite's ids are signed and begin with 1.
pub(super) fn unsigned(id: i64) -> u64 {
    u64::try_from(id).unwrap_or(0)
}

pub(super) fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
