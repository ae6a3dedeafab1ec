//! Who this installation is, and who may use it from a browser.
//!
//! ```text
//!   create_link ──► open ──redeem──► used ──redeem──► refused (login.reused)
//!                     └──10 minutes, 32 newer ones──► expired ──redeem──► refused
//!   redeem ──► session ──12 h without use, 7 d, logout, 1,024 newer ones──► ended
//!   mint_token ──► token for one app or some actions ──its life, revoke_token──► ended       (`token`)
//! ```
//!
//! Invariants:
//! - A secret is stored only as its hash. It is shown once: in the link, in the cookie,
//!   as a token.
//! - A link begins one session at most, and that is on disk before the secret is given out.
//! - An ended session is never revived, not even if the disk did not take its end: the end holds
//!   in memory at once and is written until it stands.
//! - A new login leaves the earlier sessions alone, so that a notebook in another tab still saves.
//! - Checking a request touches no disk and takes no lock that waits for one.
//!
//! What time means is told in `age`.

mod age;
mod cookie;
mod instance;
mod next;
mod sessions;
mod tables;
mod task;
mod token;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use crate::base::chain::Chain;
use crate::base::moment::Moment;
use crate::base::tasks::Tasks;
use crate::os::process;
use crate::os::random::NoRandom;
use crate::store::{NewEvent, Store, StoreError, Tx};

pub use self::cookie::{AppCookie, SessionCookie};
pub use self::instance::Instance;
pub use self::next::{BadNext, NextPath};
pub use self::sessions::{ABSOLUTE, Session};
pub use self::tables::{FEATURE, Link};
pub use self::token::{KnownToken, MintError, NewToken, Scope, TokenFacts, TokenWish};

use self::age::{Stamp, mono_ms};
use self::sessions::{Entry, Table};
use self::tables::{Kept, LINK_LIFE_MS, Redemption};
use self::token::Tokens;
use self::token::secret::Secret;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A session that is not used for this long ends.
    pub session: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot make a secret")]
    Random(#[from] NoRandom),
    #[error("cannot keep sessions, login links and tokens")]
    Store(#[from] StoreError),
}

/// Logins and sessions; clones share them.
#[derive(Debug, Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    boot: String,
    idle_ms: AtomicI64,
    sessions: RwLock<Table>,
    /// Ended sessions whose end the disk has not taken yet.
    owed: Mutex<BTreeSet<u64>>,
    tokens: Tokens,
}

/// The machine and its boot, as far as identity cares.
#[derive(Debug, Clone)]
struct Machine {
    hash: String,
    boot: String,
}

/// A login link that was just made.
#[derive(Debug)]
pub struct NewLink {
    /// What stands behind `/login/`; it is shown once.
    pub token: SecretString,
    pub expires_at: Timestamp,
}

/// A session that was just begun.
#[derive(Debug)]
pub struct Login {
    pub session: Session,
    /// The value of the cookie.
    pub secret: SecretString,
    pub next: NextPath,
}

/// What using a link came to.
#[derive(Debug)]
pub enum Redeemed {
    Login(Login),
    Used { next: NextPath },
    Expired { next: NextPath },
    Unknown,
}

impl Identity {
    /// Reads who this installation is and which sessions it has.
    pub async fn open(
        store: Store,
        config: Config,
        now: Moment,
    ) -> Result<(Self, Instance), IdentityError> {
        let machine = Machine { hash: instance::machine(), boot: process::boot_id() };
        Self::open_on(store, config, machine, now).await
    }

    async fn open_on(
        store: Store,
        config: Config,
        machine: Machine,
        now: Moment,
    ) -> Result<(Self, Instance), IdentityError> {
        let instance = instance::settle(&store, machine.hash, now).await?;
        let kept = store.read(tables::sessions).await?;
        let stamp = Stamp::of(now, &machine.boot);
        let tokens = Tokens::read(&store, &stamp).await?;
        let inner = Inner {
            sessions: RwLock::new(restore(kept, &stamp)),
            boot: machine.boot,
            idle_ms: AtomicI64::new(0),
            owed: Mutex::default(),
            tokens,
            store,
        };
        let identity = Self { inner: Arc::new(inner) };
        identity.set_session(config.session);
        Ok((identity, instance))
    }

    /// Starts the part that ends what has expired.
    pub fn spawn(&self, tasks: &Tasks) {
        tasks.part("identity", task::run(self.clone(), tasks.token().clone()));
    }

    /// Changes how long a session lives without use, for those that exist too.
    pub fn set_session(&self, session: Duration) {
        let idle_ms = i64::try_from(session.as_millis()).unwrap_or(i64::MAX);
        self.inner.idle_ms.store(idle_ms, Ordering::Relaxed);
    }

    // === login links ===

    /// Makes a link that lets `user` in once, within ten minutes, and then leads to `next`.
    pub async fn create_link(
        &self,
        user: &str,
        next: NextPath,
        now: Moment,
    ) -> Result<NewLink, IdentityError> {
        let token = Secret::fresh()?;
        let (hash, user, stamp) = (token.hash(), user.to_owned(), self.stamp(now));
        let create = move |tx: &mut Tx<'_>| tables::create_link(tx, &hash, &user, &next, &stamp);
        self.inner.store.write(create).await?;
        let life = jiff::SignedDuration::from_millis(LINK_LIFE_MS);
        let expires_at = now.wall.checked_add(life).unwrap_or(now.wall);
        Ok(NewLink { token: token.text(), expires_at })
    }

    /// How a link stands; changes nothing. For `HEAD` and for link previews.
    pub async fn peek(&self, token: &str, now: Moment) -> Result<Link, IdentityError> {
        let Some(token) = Secret::parse(token) else {
            return Ok(Link::Unknown);
        };
        Ok(self.look(&token, now).await?.0)
    }

    /// Uses a link. The session is on disk when its secret is given out.
    ///
    /// A token that nobody made, and one that was refused often, cost one read and no write: who
    /// is not logged in cannot keep the disk busy.
    pub async fn redeem(&self, token: &str, now: Moment) -> Result<Redeemed, IdentityError> {
        let Some(token) = Secret::parse(token) else {
            return Ok(Redeemed::Unknown);
        };
        let (link, changes) = self.look(&token, now).await?;
        if !changes {
            return Ok(refused(link));
        }
        let secret = Secret::fresh()?;
        let (link, hash, stamp) = (token.hash(), secret.hash(), self.stamp(now));
        let redeem = move |tx: &mut Tx<'_>| tables::redeem(tx, &link, &hash, &stamp);
        let (id, user, next, dropped) = match self.inner.store.write(redeem).await? {
            Redemption::Refused(link) => return Ok(refused(link)),
            Redemption::Session { id, user, next, dropped } => (id, user, next, dropped),
        };
        let session = Session::new(id, &user, now.wall);
        let entry = Entry::new(session.clone(), mono_ms(now), mono_ms(now));
        self.change(|table| {
            for oldest in dropped {
                drop(table.remove(oldest));
            }
            table.insert(hash, entry);
        });
        Ok(Redeemed::Login(Login { session, secret: secret.text(), next }))
    }

    async fn look(&self, token: &Secret, now: Moment) -> Result<(Link, bool), IdentityError> {
        let (hash, stamp) = (token.hash(), self.stamp(now));
        Ok(self.inner.store.read(move |connection| tables::peek(connection, &hash, &stamp)).await?)
    }

    // === sessions ===

    /// Whose session the cookie's value belongs to; `None` if there is none or it has ended.
    ///
    /// It does not count as use: see [`Identity::touch`].
    pub fn check(&self, cookie_value: &str, now: Moment) -> Option<Session> {
        let hash = Secret::parse(cookie_value)?.hash();
        self.sessions(|table| table.find(&hash, mono_ms(now), self.idle_ms()).cloned())
    }

    /// Notes that the session is in use: a request, traffic on its websocket, a busy kernel.
    /// `false` if it has ended meanwhile.
    pub fn touch(&self, id: u64, now: Moment) -> bool {
        self.sessions(|table| table.touch(id, mono_ms(now), self.idle_ms()))
    }

    /// Whether the session still holds, without using it: an idle websocket must not keep its own
    /// session alive.
    pub fn alive(&self, id: u64, now: Moment) -> bool {
        self.sessions(|table| table.alive(id, mono_ms(now), self.idle_ms()))
    }

    /// Ends a session; `false` if there was none. It has ended when this is called, whatever the
    /// disk does.
    pub async fn logout(&self, id: u64) -> bool {
        let ended: Vec<Session> = self.change(|table| table.remove(id)).into_iter().collect();
        let existed = !ended.is_empty();
        self.end(ended, "session.logout", "logged out").await;
        existed
    }

    /// How many sessions are kept, ended ones of the last minute included.
    #[cfg(test)]
    fn session_count(&self) -> usize {
        self.sessions(Table::len)
    }

    /// Ends what has expired, and writes down uses and ends; `last` leaves nothing unwritten.
    async fn tidy(&self, now: Moment, last: bool) {
        let (expired, uses) = self
            .change(|table| (table.expire(mono_ms(now), self.idle_ms()), table.unwritten(last)));
        self.end(expired, "session.expired", "the session expired").await;
        self.settle_owed().await;
        if let Err(error) = self.write_uses(uses, now).await {
            tracing::warn!(error = %Chain(&error), "the use of sessions was not written");
        }
        if let Err(error) = self.sweep_links(now).await {
            tracing::warn!(error = %Chain(&error), "old login links were not removed");
        }
        if let Err(error) = self.tidy_tokens(now, last).await {
            tracing::warn!(error = %Chain(&error), "ends and uses of tokens were not written");
        }
    }

    async fn end(&self, ended: Vec<Session>, kind: &'static str, message: &str) {
        if ended.is_empty() {
            return;
        }
        let ids: Vec<u64> = ended.iter().map(|session| session.id).collect();
        let events = ended.into_iter().map(|session| {
            let message = format!("{}: {message}", session.user);
            let data = serde_json::json!({ "session": session.id });
            NewEvent::new(kind, session.user.as_ref(), message).with(data)
        });
        for event in events {
            self.inner.store.note(event);
        }
        self.owed(|owed| owed.extend(ids));
        self.settle_owed().await;
    }

    /// Removes ended sessions from the disk, or leaves them for the next time.
    async fn settle_owed(&self) {
        let ids: Vec<u64> = self.owed(|owed| owed.iter().copied().collect());
        if ids.is_empty() {
            return;
        }
        let gone = ids.clone();
        let delete = move |tx: &mut Tx<'_>| tables::delete_sessions(tx, &gone);
        match self.inner.store.write(delete).await {
            Ok(()) => self.owed(|owed| owed.retain(|id| !ids.contains(id))),
            Err(error) => {
                let error = Chain(&error);
                tracing::warn!(%error, "ended sessions were not removed from the disk yet");
            }
        }
    }

    async fn write_uses(&self, uses: Vec<sessions::Use>, now: Moment) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let (stamp, written) = (self.stamp(now), uses.clone());
        let write = move |tx: &mut Tx<'_>| tables::write_uses(tx, &uses, &stamp);
        self.inner.store.write(write).await?;
        self.sessions(|table| table.written(&written));
        Ok(())
    }

    async fn sweep_links(&self, now: Moment) -> Result<(), StoreError> {
        let stamp = self.stamp(now);
        let asked = stamp.clone();
        let any = move |connection: &rusqlite::Connection| tables::any_link_due(connection, &asked);
        if self.inner.store.read(any).await? {
            let sweep = move |tx: &mut Tx<'_>| tables::sweep_links(tx, &stamp);
            self.inner.store.write(sweep).await?;
        }
        Ok(())
    }

    // No lock outlives one of these three, so none is held over a wait.

    fn sessions<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.inner.sessions.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        change(&mut self.inner.sessions.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn owed<T>(&self, change: impl FnOnce(&mut BTreeSet<u64>) -> T) -> T {
        change(&mut self.inner.owed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stamp(&self, now: Moment) -> Stamp {
        Stamp::of(now, &self.inner.boot)
    }

    fn idle_ms(&self) -> i64 {
        self.inner.idle_ms.load(Ordering::Relaxed)
    }
}

fn refused(link: Link) -> Redeemed {
    match link {
        Link::Used { next } => Redeemed::Used { next },
        // An open link that was refused cannot be: the transaction would have used it.
        Link::Expired { next } | Link::Open { next, .. } => Redeemed::Expired { next },
        Link::Unknown => Redeemed::Unknown,
    }
}

/// Brings stored sessions onto this boot's clock.
fn restore(kept: Vec<Kept>, now: &Stamp) -> Table {
    let mut table = Table::default();
    for Kept { id, hash, user, since, age_ms, used } in kept {
        // Where the age is unknown, the session is older than any may be, and is cleared away.
        let elapsed = used.elapsed_ms(now).unwrap_or(i64::MAX / 4);
        let used_ms = now.mono_ms.saturating_sub(elapsed);
        let session = Session::new(id, &user, since);
        table.insert(hash, Entry::new(session, used_ms.saturating_sub(age_ms), used_ms));
    }
    table
}

#[cfg(test)]
mod tests;
