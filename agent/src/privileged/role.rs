//! `stationd privileged`: the same verbs, asked for over a socket by stationd alone.
//!
//! It keeps nothing but the configuration in force, in a file that only root can read and that a
//! restart of the machine clears; so it may end at any time and be started again by the next order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::UnixListener;

use super::{Order, Refusal, Reply, RootConfig, Verb, execute};
use crate::base::chain::Chain;
use crate::base::ids::AppName;
use crate::base::tasks::Tasks;
use crate::os::file;
use crate::os::process::{self, group};
use crate::os::socket::{Peer, calls};

/// The configuration as the files say it now, or why it cannot be used.
pub type Load = Arc<dyn Fn() -> Result<RootConfig, String> + Send + Sync>;

/// What the role is made of.
#[expect(missing_debug_implementations, reason = "a function has no text")]
pub struct Role {
    pub load: Load,
    /// What holds where the files have mistakes and nothing is in force: no apps.
    pub bare: RootConfig,
    /// Where the configuration in force is kept.
    pub file: PathBuf,
    /// Who may ask, beside root.
    pub uid: u32,
    /// Ends when nobody asked for so long.
    pub idle: Duration,
}

struct Serving {
    role: Role,
    current: Mutex<Option<Arc<RootConfig>>>,
    /// Orders that are being carried out.
    running: AtomicUsize,
    /// One for each app that was ever asked for.
    apps: Mutex<HashMap<AppName, Arc<tokio::sync::Mutex<()>>>>,
}

/// The unit that this role runs in.
const UNIT: &str = "stationd-privileged.service";
/// Locks that are kept although nobody needs them now.
const APPS: usize = 256;
/// None of these files is larger.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The configuration in force, as the file says; `None` if there is none yet.
pub fn in_force(path: &Path) -> Option<RootConfig> {
    let text = file::read_limited(path, FILE_BYTES_MAX).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Answers orders until nobody asks any more.
pub async fn serve(tasks: &Tasks, listener: UnixListener, role: Role) {
    let (uid, idle) = (role.uid, role.idle);
    // Variables are inherited, each time anew.
    let environment = role.bare.environment.clone();
    let current = in_force(&role.file).map(|root| Arc::new(RootConfig { environment, ..root }));
    let serving = Arc::new(Serving::new(role, current));
    let admits = move |peer: Peer| peer.uid == 0 || peer.uid == uid;
    let answer = move |question: Vec<u8>| {
        let serving = Arc::clone(&serving);
        async move { serving.answer(&question).await }
    };
    calls::serve(tasks, listener, admits, idle, answer).await;
}

impl Serving {
    fn new(role: Role, current: Option<Arc<RootConfig>>) -> Self {
        let current = Mutex::new(current);
        Self { role, current, running: AtomicUsize::new(0), apps: Mutex::default() }
    }

    async fn answer(&self, question: &[u8]) -> Vec<u8> {
        let answer = match serde_json::from_slice::<Order>(question) {
            Ok(order) => {
                self.running.fetch_add(1, Ordering::SeqCst);
                let answer = self.obey(order).await;
                if self.running.fetch_sub(1, Ordering::SeqCst) == 1 {
                    end_left_overs();
                }
                answer
            }
            Err(error) => Err(Refusal::NotUnderstood(error.to_string())),
        };
        // Plain data with string keys always serialises.
        serde_json::to_vec(&answer).unwrap_or_default()
    }

    async fn obey(&self, order: Order) -> Result<Reply, Refusal> {
        if order.verb == (Verb::Configure {}) {
            let root = self.configure(&order.digest)?;
            return Ok(Reply::Configured(Box::new(RootConfig::clone(&root))));
        }
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let root = match known {
            Some(root) => root,
            None => match self.configure(&order.digest) {
                Err(Refusal::BadConfig(_)) if !order.verb.needs_digest() => {
                    Arc::new(self.role.bare.clone())
                }
                root => root?,
            },
        };
        let limit = order.verb.limit();
        let work = async {
            // Whoever asked may have gone: a start goes on, and nothing may come in its way.
            let app = order.verb.changes().map(|app| self.lock_of(app));
            let _alone = match &app {
                Some(app) => Some(app.lock().await),
                None => None,
            };
            execute(order, &root).await
        };
        let late = |_elapsed| Err(Refusal::TooLong(limit.as_secs()));
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }

    fn lock_of(&self, app: &AppName) -> Arc<tokio::sync::Mutex<()>> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() >= APPS {
            apps.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(apps.entry(app.clone()).or_default())
    }

    /// Takes up what stationd has, as far as the files say so too.
    fn configure(&self, digest: &str) -> Result<Arc<RootConfig>, Refusal> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = match ((self.role.load)(), current.as_deref()) {
            (Ok(new), known) => Arc::new(choose(known, new, digest)),
            // A change with mistakes leaves in force what was before.
            (Err(_), Some(known)) => Arc::new(known.clone()),
            (Err(mistakes), None) => return Err(Refusal::BadConfig(mistakes)),
        };
        if current.as_deref() != Some(&chosen) {
            self.keep(&chosen);
        }
        *current = Some(Arc::clone(&chosen));
        Ok(chosen)
    }

    fn keep(&self, root: &RootConfig) {
        let text = serde_json::to_vec(root).unwrap_or_default();
        let folder = self.role.file.parent().map_or(Ok(()), file::ensure_private_dir);
        let kept = folder.and_then(|()| file::write_atomic(&self.role.file, &text, 0o600));
        if let Err(error) = kept {
            // It is read from the files again then.
            tracing::warn!(error = %Chain(&error), "the configuration in force is not kept");
        }
    }
}

/// Whatever a step has left that was run as the user, such as a daemon that their login script
/// starts: it would fill this unit, and hold up its end. Called while no step runs.
fn end_left_overs() {
    for pid in group::others_of_unit(UNIT) {
        tracing::info!(pid, "ended a process that a step has left");
        if let Err(error) = process::signal(pid, Signal::SIGKILL) {
            tracing::warn!(pid, %error, "what a step has left cannot be ended");
        }
    }
}

/// Which configuration holds: the one that the other side has, if it is one of those that can hold
/// now. stationd takes some keys only when it is started again, so the old one with the new apps
/// can hold too.
fn choose(known: Option<&RootConfig>, new: RootConfig, digest: &str) -> RootConfig {
    let Some(known) = known else { return new };
    let live = RootConfig { apps: new.apps.clone(), root_access: new.root_access, ..known.clone() };
    [known.clone(), live].into_iter().find(|one| one.digest() == digest).unwrap_or(new)
}

#[cfg(test)]
mod tests;
