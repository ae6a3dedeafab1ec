//! The tokens in memory: what a request's token is checked against. Pure.
//!
//! All times are milliseconds on this boot's monotonic clock; what happened before it lies below
//! zero.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::secret::Hash;
use super::{Scope, TokenWish, wall};
use crate::base::moment::Moment;
use crate::identity::sessions::{Use, WRITE_STEP_MS};

/// Stands for a use that never was.
const NEVER: i64 = i64::MIN;

/// What a caller shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Face {
    Token,
    Cookie,
}

/// The hashes of the token and of the cookie that stands for it.
pub(super) type Hashes = (Hash, Hash);

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownToken {
    pub id: u64,
    /// The id as text, made once: every request carries it along.
    pub name: Arc<str>,
    pub user: Arc<str>,
    pub scope: Scope,
}

/// A token as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    pub id: u64,
    pub scope: Scope,
    pub note: String,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub used: Option<Timestamp>,
}

/// A token with its times.
#[derive(Debug)]
pub(super) struct Entry {
    token: KnownToken,
    note: String,
    created: Timestamp,
    born_ms: i64,
    life_ms: i64,
    used_ms: AtomicI64,
    /// The last use that is on disk.
    written_ms: AtomicI64,
}

impl Entry {
    /// A token that is made now: on the monotonic and on the wall clock.
    pub(super) fn fresh(id: u64, wish: TokenWish, (born_ms, created): (i64, Timestamp)) -> Self {
        let TokenWish { user, scope, note, life } = wish;
        let (name, user) = (id.to_string().into(), user.into());
        Self {
            token: KnownToken { id, name, user, scope },
            note,
            created,
            born_ms,
            life_ms: i64::try_from(life.as_millis()).unwrap_or(i64::MAX),
            used_ms: AtomicI64::new(NEVER),
            written_ms: AtomicI64::new(NEVER),
        }
    }

    /// The same with its last use as it stands on disk.
    pub(super) fn used_at(self, used_ms: i64) -> Self {
        let (used, written) = (AtomicI64::new(used_ms), AtomicI64::new(used_ms));
        Self { used_ms: used, written_ms: written, ..self }
    }

    /// How long it still holds; `None` if it has ended.
    fn left(&self, now_ms: i64) -> Option<Duration> {
        let left = self.life_ms.saturating_sub(now_ms.saturating_sub(self.born_ms));
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }

    pub(super) fn facts(&self, now: Moment) -> TokenFacts {
        let used_ms = self.used_ms.load(Ordering::Relaxed);
        TokenFacts {
            id: self.token.id,
            scope: self.token.scope.clone(),
            note: self.note.clone(),
            created: self.created,
            expires: wall(now, self.born_ms.saturating_add(self.life_ms)),
            used: (used_ms != NEVER).then(|| wall(now, used_ms)),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    by_face: HashMap<(Hash, Face), u64>,
    by_id: HashMap<u64, Entry>,
}

impl Table {
    pub(super) fn insert(&mut self, (token, cookie): Hashes, entry: Entry) {
        let id = entry.token.id;
        self.by_face.insert((token, Face::Token), id);
        self.by_face.insert((cookie, Face::Cookie), id);
        self.by_id.insert(id, entry);
    }

    pub(super) fn find(&self, face: (Hash, Face), now_ms: i64) -> Option<&KnownToken> {
        let entry = self.by_id.get(self.by_face.get(&face)?)?;
        entry.left(now_ms).map(|_left| &entry.token)
    }

    pub(super) fn left(&self, id: u64, now_ms: i64) -> Option<Duration> {
        self.by_id.get(&id)?.left(now_ms)
    }

    /// Whether the token holds; its use is noted if it does.
    pub(super) fn touch(&self, id: u64, now_ms: i64) -> bool {
        let entry = self.by_id.get(&id).filter(|entry| entry.left(now_ms).is_some());
        if let Some(entry) = entry {
            entry.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
        entry.is_some()
    }

    pub(super) fn list(&self, now: Moment) -> Vec<TokenFacts> {
        let now_ms = super::mono_ms(now);
        let held = self.by_id.values().filter(|entry| entry.left(now_ms).is_some());
        let mut list: Vec<TokenFacts> = held.map(|entry| entry.facts(now)).collect();
        list.sort_by_key(|token| token.id);
        list
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        self.by_face.retain(|_face, known| *known != id);
        self.by_id.remove(&id).is_some()
    }

    /// Takes out what has expired.
    pub(super) fn expire(&mut self, now_ms: i64) -> Vec<u64> {
        let ended = self.by_id.iter().filter(|(_, entry)| entry.left(now_ms).is_none());
        let ids: Vec<u64> = ended.map(|(id, _)| *id).collect();
        for id in &ids {
            self.remove(*id);
        }
        ids
    }

    /// Uses that the disk should hear of: the first, those far from what stands there, or all that
    /// are newer.
    pub(super) fn unwritten(&self, all: bool) -> Vec<Use> {
        let step = if all { 1 } else { WRITE_STEP_MS };
        let entries = self.by_id.values().filter_map(|entry| {
            let used_ms = entry.used_ms.load(Ordering::Relaxed);
            let behind = used_ms.saturating_sub(entry.written_ms.load(Ordering::Relaxed));
            let age_ms = used_ms.saturating_sub(entry.born_ms);
            (behind >= step).then_some(Use { id: entry.token.id, age_ms, used_ms })
        });
        entries.collect()
    }

    pub(super) fn written(&self, uses: &[Use]) {
        for one in uses {
            if let Some(entry) = self.by_id.get(&one.id) {
                entry.written_ms.fetch_max(one.used_ms, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn table(born_ms: i64) -> Table {
        let life = Duration::from_secs(3600);
        let wish = TokenWish {
            user: "ann".into(),
            scope: Scope::App("lab".into()),
            note: String::new(),
            life,
        };
        let mut table = Table::default();
        table.insert(([1; 32], [2; 32]), Entry::fresh(7, wish, (born_ms, Timestamp::UNIX_EPOCH)));
        table
    }

    #[test]
    fn each_face_is_found_as_itself_until_the_life_is_over() {
        let mut table = table(-30 * MINUTE);
        let found = |table: &Table, hash, face, now| table.find(([hash; 32], face), now).is_some();
        for (hash, face) in [(1, Face::Token), (2, Face::Cookie)] {
            assert!(found(&table, hash, face, 30 * MINUTE - 1));
            assert!(!found(&table, hash, face, 30 * MINUTE));
        }
        assert!(!found(&table, 1, Face::Cookie, 0) && !found(&table, 2, Face::Token, 0));
        assert_eq!(table.left(7, 29 * MINUTE), Some(Duration::from_secs(60)));
        // Use moves no end.
        assert!(table.touch(7, 29 * MINUTE) && !table.touch(7, 30 * MINUTE));
        assert!(table.expire(30 * MINUTE - 1).is_empty());
        assert_eq!(table.expire(30 * MINUTE), [7]);
        assert!(table.by_face.is_empty() && !table.remove(7));
    }

    #[test]
    fn uses_are_written_in_steps_and_the_first_at_once() {
        let table = table(0);
        assert_eq!(table.unwritten(true), []);
        table.touch(7, 5);
        let first = table.unwritten(false);
        assert_eq!(first, [Use { id: 7, age_ms: 5, used_ms: 5 }]);
        table.written(&first);
        table.touch(7, WRITE_STEP_MS + 4);
        assert_eq!(table.unwritten(false), []);
        assert_eq!(table.unwritten(true).len(), 1);
        table.touch(7, WRITE_STEP_MS + 5);
        assert_eq!(table.unwritten(false).len(), 1);
    }
}
