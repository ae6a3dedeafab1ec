//! Tokens: what lets a script or VS Code into one app, without SSH and without a browser; and what lets
//! a program use the API for the actions that it was made for.
//!
//! ```text
//!   mint_token ──► held ──its life is over──► ended (token.expired)
//!                    └────revoke_token──────► ended (token.revoked)
//! ```
//!
//! Invariants: a token is on disk before its secret is given out; its end holds in memory at once
//! and is written until it stands; its end and the event of it are one transaction. A token is for
//! one app or for some actions, never both, and has an end that no use moves. Limits: `limits::TOKENS` at one time.
//!
//! A browser that opens a page with a token gets a cookie that stands for it instead: a secret
//! derived from the token's, so that what a browser keeps is not the token itself. It ends with it.

mod rows;
mod scope;
pub(super) mod secret;
mod table;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::Identity;
use super::age::{Stamp, mono_ms};
use crate::base::ids::TOKEN_PREFIX;
use crate::base::limits;
use crate::base::moment::Moment;
use crate::os::random::NoRandom;
use crate::store::{Store, StoreError, Tx};

use self::rows::End;
use self::secret::Secret;
use self::table::{Entry, Face, Table};

pub(super) use self::rows::{ACTIONS, TABLE};
pub use self::scope::Scope;
pub use self::table::{KnownToken, TokenFacts};

/// For which use the secret of the cookie is derived.
const COOKIE: &[u8] = b"stationd app cookie ";

/// What somebody wants a token for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWish {
    pub user: String,
    pub scope: Scope,
    /// For its owner, to know it again in the list.
    pub note: String,
    pub life: Duration,
}

/// A token that was just made.
#[derive(Debug)]
pub struct NewToken {
    pub facts: TokenFacts,
    /// `stn_…`; it is shown once.
    pub secret: SecretString,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(
        "`ttl_seconds` is {asked}: a token lives at least a minute (60) and at most 90 days (7776000)"
    )]
    Life { asked: u64 },
    #[error(
        "`note` is too long or holds a control character: write one line of {} bytes at most",
        limits::TOKEN_NOTE
    )]
    Note,
    #[error(
        "there are {} tokens, and there can be no more: revoke one that is not needed with \
         `stationctl token revoke ID`; `stationctl token list` shows them",
        limits::TOKENS
    )]
    TooMany,
    #[error("cannot make a secret")]
    Random(#[from] NoRandom),
    #[error("cannot keep the token")]
    Store(#[from] StoreError),
}

/// All tokens, and ends that the disk has not taken yet.
#[derive(Debug)]
pub(super) struct Tokens {
    table: RwLock<Table>,
    owed: Mutex<BTreeMap<u64, End>>,
}

impl Tokens {
    /// Those on disk, on this boot's clock.
    pub(super) async fn read(store: &Store, now: &Stamp) -> Result<Self, StoreError> {
        let mut table = Table::default();
        for kept in store.read(rows::all).await? {
            let (hashes, entry) = kept.restored(now);
            table.insert(hashes, entry);
        }
        Ok(Self { table: RwLock::new(table), owed: Mutex::default() })
    }

    // No lock outlives one of these three, so none is held over a wait.

    fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn owed<T>(&self, change: impl FnOnce(&mut BTreeMap<u64, End>) -> T) -> T {
        change(&mut self.owed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Identity {
    /// Makes a token. It is on disk when its secret is given out.
    pub async fn mint_token(&self, wish: TokenWish, now: Moment) -> Result<NewToken, MintError> {
        if !(limits::TOKEN_LIFE_LEAST..=limits::TOKEN_LIFE_MOST).contains(&wish.life) {
            return Err(MintError::Life { asked: wish.life.as_secs() });
        }
        if wish.note.len() > limits::TOKEN_NOTE || wish.note.chars().any(char::is_control) {
            return Err(MintError::Note);
        }
        // Those that have expired take nobody's place.
        self.end_expired(now).await?;
        let secret = Secret::fresh()?;
        let hashes = (secret.hash(), secret.derived(COOKIE).hash());
        let (row, stamp) = (wish.clone(), self.stamp(now));
        let insert = move |tx: &mut Tx<'_>| rows::insert(tx, &hashes, &row, &stamp);
        let id = self.inner.store.write(insert).await?.ok_or(MintError::TooMany)?;
        let entry = Entry::fresh(id, wish, (mono_ms(now), now.wall));
        let facts = entry.facts(now);
        self.inner.tokens.change(|table| table.insert(hashes, entry));
        let text = format!("{TOKEN_PREFIX}{}", secret.text().expose_secret());
        Ok(NewToken { facts, secret: text.into() })
    }

    /// Every token that still holds, oldest first.
    pub fn tokens(&self, now: Moment) -> Vec<TokenFacts> {
        self.inner.tokens.look(|table| table.list(now))
    }

    /// Ends a token; `false` if there was none. Where the disk does not take it the answer is an
    /// error, and the token has ended all the same: a restart before the disk is mended would
    /// bring it back.
    pub async fn revoke_token(&self, id: u64, now: Moment) -> Result<bool, StoreError> {
        let change = |table: &mut Table| (table.expire(mono_ms(now)), table.remove(id));
        let (expired, existed) = self.inner.tokens.change(change);
        let expired = expired.into_iter().map(|id| (id, End::Expired));
        let revoked = existed.then_some((id, End::Revoked));
        self.inner.tokens.owed(|owed| owed.extend(expired.chain(revoked)));
        let settled = self.settle_tokens().await;
        if existed { settled.map(|()| true) } else { Ok(false) }
    }

    /// Which token this is; `None` if there is none or it has ended. It does not count as use.
    pub fn check_token(&self, text: &str, now: Moment) -> Option<KnownToken> {
        let secret = Secret::parse(text.strip_prefix(TOKEN_PREFIX)?)?;
        let face = (secret.hash(), Face::Token);
        self.inner.tokens.look(|table| table.find(face, mono_ms(now)).cloned())
    }

    /// Which token the value of an app's cookie stands for.
    pub fn check_app_cookie(&self, value: &str, now: Moment) -> Option<KnownToken> {
        let face = (Secret::parse(value)?.hash(), Face::Cookie);
        self.inner.tokens.look(|table| table.find(face, mono_ms(now)).cloned())
    }

    /// The value of the cookie that stands for a token, and how long both hold.
    pub fn app_cookie(&self, text: &str, now: Moment) -> Option<(SecretString, Duration)> {
        let token = self.check_token(text, now)?;
        let secret = Secret::parse(text.strip_prefix(TOKEN_PREFIX)?)?;
        let left = self.inner.tokens.look(|table| table.left(token.id, mono_ms(now)))?;
        Some((secret.derived(COOKIE).text(), left))
    }

    /// Notes that a token is in use; `false` if it has ended meanwhile.
    pub fn touch_token(&self, id: u64, now: Moment) -> bool {
        self.inner.tokens.look(|table| table.touch(id, mono_ms(now)))
    }

    /// Whether the token still holds, without using it.
    pub fn token_alive(&self, id: u64, now: Moment) -> bool {
        self.inner.tokens.look(|table| table.left(id, mono_ms(now)).is_some())
    }

    /// Ends what has expired, and writes down uses and ends; `last` leaves nothing unwritten.
    pub(super) async fn tidy_tokens(&self, now: Moment, last: bool) -> Result<(), StoreError> {
        self.end_expired(now).await?;
        let uses = self.inner.tokens.look(|table| table.unwritten(last));
        if uses.is_empty() {
            return Ok(());
        }
        let (stamp, written) = (self.stamp(now), uses.clone());
        let write = move |tx: &mut Tx<'_>| rows::write_uses(tx, &uses, &stamp);
        self.inner.store.write(write).await?;
        self.inner.tokens.look(|table| table.written(&written));
        Ok(())
    }

    async fn end_expired(&self, now: Moment) -> Result<(), StoreError> {
        let expired = self.inner.tokens.change(|table| table.expire(mono_ms(now)));
        let ends = expired.into_iter().map(|id| (id, End::Expired));
        self.inner.tokens.owed(|owed| owed.extend(ends));
        self.settle_tokens().await
    }

    /// Removes ended tokens from the disk, or leaves them for the next time.
    async fn settle_tokens(&self) -> Result<(), StoreError> {
        let ends = self.inner.tokens.owed(|owed| owed.clone());
        if ends.is_empty() {
            return Ok(());
        }
        let gone = ends.clone();
        self.inner.store.write(move |tx: &mut Tx<'_>| rows::end(tx, &gone)).await?;
        self.inner.tokens.owed(|owed| owed.retain(|id, _| !ends.contains_key(id)));
        Ok(())
    }
}

/// When it was, on the wall clock of `now`: what is shown to people.
fn wall(now: Moment, at_ms: i64) -> Timestamp {
    let since = jiff::SignedDuration::from_millis(at_ms.saturating_sub(mono_ms(now)));
    now.wall.checked_add(since).unwrap_or(now.wall)
}

#[cfg(test)]
mod tests;
