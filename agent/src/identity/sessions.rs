//! The sessions in memory: what a request's cookie is checked against. Pure.
//!
//! All times are milliseconds on this boot's monotonic clock; what happened before it lies below
//! zero.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::token::secret::Hash;

/// Sessions at one time; a login beyond that ends the oldest.
pub(super) const SESSIONS_MAX: u32 = 1024;
/// A session ends this long after its login, however much it is used.
pub const ABSOLUTE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Use is written to disk when it is this much newer than what stands there.
pub(super) const WRITE_STEP_MS: i64 = 5 * 60 * 1000;

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: u64,
    /// The id as text, made once: every request carries it along.
    pub name: Arc<str>,
    pub user: Arc<str>,
    /// The login.
    pub since: Timestamp,
}

impl Session {
    pub(super) fn new(id: u64, user: &str, since: Timestamp) -> Self {
        Self { id, name: id.to_string().into(), user: user.into(), since }
    }
}

/// A session with its times.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) session: Session,
    pub(super) born_ms: i64,
    used_ms: AtomicI64,
    /// The last use that is on disk.
    written_ms: AtomicI64,
}

impl Entry {
    pub(super) fn new(session: Session, born_ms: i64, used_ms: i64) -> Self {
        let (used, written) = (AtomicI64::new(used_ms), AtomicI64::new(used_ms));
        Self { session, born_ms, used_ms: used, written_ms: written }
    }

    /// Whether it may still be used, if `idle_ms` without use are allowed.
    pub(super) fn alive(&self, now_ms: i64, idle_ms: i64) -> bool {
        let absolute_ms = i64::try_from(ABSOLUTE.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(self.born_ms) < absolute_ms
            && now_ms.saturating_sub(self.used_ms.load(Ordering::Relaxed)) < idle_ms
    }
}

/// A use that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) id: u64,
    pub(super) age_ms: i64,
    pub(super) used_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    by_hash: HashMap<Hash, Entry>,
    hash_of: HashMap<u64, Hash>,
}

impl Table {
    pub(super) fn insert(&mut self, hash: Hash, entry: Entry) {
        self.hash_of.insert(entry.session.id, hash);
        self.by_hash.insert(hash, entry);
    }

    pub(super) fn find(&self, hash: &Hash, now_ms: i64, idle_ms: i64) -> Option<&Session> {
        let entry = self.by_hash.get(hash)?;
        entry.alive(now_ms, idle_ms).then_some(&entry.session)
    }

    /// Whether the session is alive; its use is noted if it is. An ended one is never revived.
    pub(super) fn touch(&self, id: u64, now_ms: i64, idle_ms: i64) -> bool {
        let entry = self.living(id, now_ms, idle_ms);
        if let Some(entry) = entry {
            entry.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
        entry.is_some()
    }

    /// Whether the session is alive; this is no use of it.
    pub(super) fn alive(&self, id: u64, now_ms: i64, idle_ms: i64) -> bool {
        self.living(id, now_ms, idle_ms).is_some()
    }

    fn living(&self, id: u64, now_ms: i64, idle_ms: i64) -> Option<&Entry> {
        let entry = self.hash_of.get(&id).and_then(|hash| self.by_hash.get(hash));
        entry.filter(|entry| entry.alive(now_ms, idle_ms))
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Session> {
        let hash = self.hash_of.remove(&id)?;
        self.by_hash.remove(&hash).map(|entry| entry.session)
    }

    /// Takes out what has expired.
    pub(super) fn expire(&mut self, now_ms: i64, idle_ms: i64) -> Vec<Session> {
        let ended = self.by_hash.values().filter(|entry| !entry.alive(now_ms, idle_ms));
        let ids: Vec<u64> = ended.map(|entry| entry.session.id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<u64> {
        self.hash_of.keys().copied().collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Uses that the disk should hear of: far from what stands there, or all that are newer.
    pub(super) fn unwritten(&self, all: bool) -> Vec<Use> {
        let step = if all { 1 } else { WRITE_STEP_MS };
        let entries = self.by_hash.values().filter_map(|entry| {
            let used_ms = entry.used_ms.load(Ordering::Relaxed);
            let behind = used_ms.saturating_sub(entry.written_ms.load(Ordering::Relaxed));
            let age_ms = used_ms.saturating_sub(entry.born_ms);
            (behind >= step).then_some(Use { id: entry.session.id, age_ms, used_ms })
        });
        entries.collect()
    }

    pub(super) fn written(&self, uses: &[Use]) {
        for one in uses {
            let entry = self.hash_of.get(&one.id).and_then(|hash| self.by_hash.get(hash));
            if let Some(entry) = entry {
                entry.written_ms.fetch_max(one.used_ms, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const IDLE: i64 = 12 * HOUR;

    fn table(entries: &[(u64, i64, i64)]) -> Table {
        let mut table = Table::default();
        for (id, born, used) in entries {
            let session = Session::new(*id, "ann", Timestamp::UNIX_EPOCH);
            table.insert(hash(*id), Entry::new(session, *born, *used));
        }
        table
    }

    fn hash(id: u64) -> Hash {
        [u8::try_from(id).unwrap(); 32]
    }

    #[test]
    fn use_prolongs_up_to_the_absolute_end() {
        let table = table(&[(1, 0, 0)]);
        let found = |now| table.find(&hash(1), now, IDLE).is_some();
        assert!(found(0) && found(IDLE - 1) && !found(IDLE));
        let mut now = 0;
        while now + IDLE / 2 < 7 * 24 * HOUR {
            now += IDLE / 2;
            assert!(table.touch(1, now, IDLE), "{now}");
        }
        assert!(found(7 * 24 * HOUR - 1));
        assert!(!found(7 * 24 * HOUR));
        assert!(!table.touch(1, 7 * 24 * HOUR, IDLE));
    }

    #[test]
    fn an_ended_session_is_never_revived() {
        let table = table(&[(1, 0, 0)]);
        assert!(!table.touch(1, IDLE, IDLE));
        assert!(table.find(&hash(1), IDLE, IDLE).is_none());
        assert!(!table.touch(2, 0, IDLE));
    }

    #[test]
    fn a_late_touch_does_not_turn_time_back() {
        let table = table(&[(1, 0, 10)]);
        assert!(table.touch(1, 5, IDLE));
        assert!(table.find(&hash(1), IDLE + 9, IDLE).is_some());
    }

    #[test]
    fn what_happened_before_this_boot_lies_below_zero() {
        let table = table(&[(1, -6 * 24 * HOUR, -11 * HOUR)]);
        assert!(table.find(&hash(1), HOUR - 1, IDLE).is_some());
        assert!(table.find(&hash(1), HOUR, IDLE).is_none());
    }

    #[test]
    fn expired_ones_are_taken_out() {
        let mut table = table(&[(1, 0, 0), (2, 0, HOUR)]);
        let ended = table.expire(IDLE, IDLE);
        assert_eq!(ended.iter().map(|session| session.id).collect::<Vec<_>>(), [1]);
        assert_eq!((table.len(), table.ids()), (1, vec![2]));
        assert!(table.remove(2).is_some() && table.remove(2).is_none());
    }

    #[test]
    fn uses_are_written_in_steps() {
        let table = table(&[(1, 0, 0)]);
        table.touch(1, WRITE_STEP_MS - 1, IDLE);
        assert_eq!(table.unwritten(false), []);
        assert_eq!(table.unwritten(true).len(), 1);
        table.touch(1, WRITE_STEP_MS, IDLE);
        let uses = table.unwritten(false);
        assert_eq!(uses, [Use { id: 1, age_ms: WRITE_STEP_MS, used_ms: WRITE_STEP_MS }]);
        // Not written yet: it is offered again.
        assert_eq!(table.unwritten(false), uses);
        table.written(&uses);
        assert_eq!(table.unwritten(true), []);
    }
}
