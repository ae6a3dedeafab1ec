//! Tokens in the database. Every function runs inside one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::table::{Entry, Hashes};
use super::{Scope, TokenWish};
use crate::base::limits;
use crate::identity::age::Stamp;
use crate::identity::sessions::Use;
use crate::identity::tables::{signed, unsigned};
use crate::store::{NewEvent, Tx};

/// The stamp is the last use, or the making where `used` is 0; `age_ms` lies between the two.
pub(in crate::identity) const TABLE: &str = "CREATE TABLE identity_token (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            hash BLOB NOT NULL UNIQUE,
            cookie BLOB NOT NULL UNIQUE,
            user TEXT NOT NULL,
            app TEXT NOT NULL,
            note TEXT NOT NULL,
            life_ms INTEGER NOT NULL,
            created_ms INTEGER NOT NULL,
            used INTEGER NOT NULL,
            age_ms INTEGER NOT NULL,
            boot TEXT NOT NULL,
            mono_ms INTEGER NOT NULL,
            wall_ms INTEGER NOT NULL
        ) STRICT;";

/// Tokens for actions: their names, with blanks between; `app` is empty then.
pub(in crate::identity) const ACTIONS: &str =
    "ALTER TABLE identity_token ADD COLUMN actions TEXT NOT NULL DEFAULT ''";

/// Why a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Revoked,
    Expired,
}

/// Keeps a new token; `None` if there are too many.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    (hash, cookie): &Hashes,
    wish: &TokenWish,
    now: &Stamp,
) -> rusqlite::Result<Option<u64>> {
    let count: i64 = tx.query_row("SELECT count(*) FROM identity_token", [], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count >= limits::TOKENS) {
        return Ok(None);
    }
    let TokenWish { user, scope, note, life } = wish;
    let (app, actions) = scope.columns();
    let life_ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO identity_token (hash, cookie, user, app, note, life_ms, created_ms, used,
             age_ms, boot, mono_ms, wall_ms, actions)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?9, 0, 0, ?7, ?8, ?9, ?10)",
        params![
            hash,
            cookie,
            user,
            app,
            note,
            life_ms,
            now.boot,
            now.mono_ms,
            now.wall_ms,
            actions
        ],
    )?;
    let id = unsigned(tx.last_insert_rowid());
    let message = format!("a token for {scope} was made for {user}");
    let data = described(id, scope);
    let data = with(data, "life_ms", life_ms.into());
    tx.event(NewEvent::new("token.created", user.as_str(), message).with(data))?;
    Ok(Some(id))
}

/// A token's row.
pub(super) struct Kept {
    id: u64,
    hashes: Hashes,
    wish: TokenWish,
    created: Timestamp,
    used: bool,
    /// From the making to the stamp.
    age_ms: i64,
    stamp: Stamp,
}

impl Kept {
    /// On the clock of the boot of `now`.
    pub(super) fn restored(self, now: &Stamp) -> (Hashes, Entry) {
        // Where the age is unknown, the token is older than any may be, and is cleared away.
        let elapsed = self.stamp.elapsed_ms(now).unwrap_or(i64::MAX / 4);
        let stamp_ms = now.mono_ms.saturating_sub(elapsed);
        let born = (stamp_ms.saturating_sub(self.age_ms), self.created);
        let entry = Entry::fresh(self.id, self.wish, born);
        (self.hashes, if self.used { entry.used_at(stamp_ms) } else { entry })
    }
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Kept>> {
    let mut query = connection.prepare(
        "SELECT id, hash, cookie, user, app, note, life_ms, created_ms, used, age_ms, boot,
             mono_ms, wall_ms, actions
         FROM identity_token",
    )?;
    let rows = query.query_map([], |row| {
        let life = Duration::from_millis(unsigned(row.get(6)?));
        let created = Timestamp::from_millisecond(row.get(7)?);
        Ok(Kept {
            id: unsigned(row.get(0)?),
            hashes: (row.get(1)?, row.get(2)?),
            wish: TokenWish {
                user: row.get(3)?,
                scope: Scope::of_columns(row.get(4)?, &row.get::<_, String>(13)?),
                note: row.get(5)?,
                life,
            },
            created: created.unwrap_or(Timestamp::UNIX_EPOCH),
            used: row.get(8)?,
            age_ms: row.get(9)?,
            stamp: Stamp { boot: row.get(10)?, mono_ms: row.get(11)?, wall_ms: row.get(12)? },
        })
    })?;
    rows.collect()
}

pub(super) fn write_uses(tx: &Tx<'_>, uses: &[Use], now: &Stamp) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE identity_token
         SET used = 1, age_ms = ?2, boot = ?3, mono_ms = ?4, wall_ms = ?5 WHERE id = ?1",
    )?;
    for one in uses {
        let wall_ms = now.wall_ms.saturating_sub(now.mono_ms.saturating_sub(one.used_ms));
        update.execute(params![signed(one.id), one.age_ms, now.boot, one.used_ms, wall_ms])?;
    }
    Ok(())
}

/// Forgets tokens and tells of it; those that are gone already are told of already.
pub(super) fn end(tx: &mut Tx<'_>, ends: &BTreeMap<u64, End>) -> rusqlite::Result<()> {
    for (id, end) in ends {
        let gone: Option<(String, Scope)> = tx
            .query_row(
                "DELETE FROM identity_token WHERE id = ?1 RETURNING user, app, actions",
                [signed(*id)],
                |row| {
                    let actions: String = row.get(2)?;
                    Ok((row.get(0)?, Scope::of_columns(row.get(1)?, &actions)))
                },
            )
            .optional()?;
        let Some((user, scope)) = gone else { continue };
        let (kind, how) = match end {
            End::Revoked => ("token.revoked", "was revoked"),
            End::Expired => ("token.expired", "expired"),
        };
        let message = format!("a token of {user} for {scope} {how}");
        tx.event(NewEvent::new(kind, user, message).with(described(*id, &scope)))?;
    }
    Ok(())
}

/// What an event says of a token.
fn described(id: u64, scope: &Scope) -> serde_json::Value {
    let data = serde_json::json!({ "token": id });
    match scope {
        Scope::App(app) => with(data, "app", serde_json::Value::from(&**app)),
        Scope::Actions(actions) => {
            with(data, "actions", actions.iter().map(|action| action.name()).collect())
        }
    }
}

fn with(mut data: serde_json::Value, name: &str, value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = data.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    data
}
