//! The way to the privileged side, wherever it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Order, Refusal, Reply, RootConfig, Verb, execute};
use crate::base::chain::Chain;
use crate::os::socket::calls;

/// How much longer the way there may take than the work.
const WAY: Duration = Duration::from_secs(5);

/// The way to the privileged side; clones share it.
#[derive(Debug, Clone)]
pub struct Privileged {
    root: watch::Sender<Arc<RootConfig>>,
    /// Absent: the work is done in this process, with whatever rights it has.
    socket: Option<PathBuf>,
    silent: watch::Sender<Option<String>>,
}

impl Privileged {
    /// Does the work in this process.
    pub fn in_process(root: watch::Sender<Arc<RootConfig>>) -> Self {
        Self { root, socket: None, silent: watch::Sender::new(None) }
    }

    /// Has it done by `stationd privileged`, which listens on `socket`.
    pub fn over(socket: PathBuf, root: watch::Sender<Arc<RootConfig>>) -> Self {
        Self { root, socket: Some(socket), silent: watch::Sender::new(None) }
    }

    /// The configuration as this side has it, for paths and for the digest of an order.
    pub fn root(&self) -> Arc<RootConfig> {
        Arc::clone(&self.root.borrow())
    }

    /// Why the other side does not answer, while it does not.
    pub fn silent(&self) -> watch::Receiver<Option<String>> {
        self.silent.subscribe()
    }

    /// Asks for a verb and waits for the answer; every verb has its own time limit.
    ///
    /// Where the two sides disagree about the configuration, the other one reads it again; if it
    /// now says something else than we thought, that is what holds.
    pub async fn call(&self, verb: Verb) -> Result<Reply, Refusal> {
        match self.order(verb.clone()).await {
            Err(Refusal::ConfigChanged) if self.socket.is_some() => {
                let sent = self.root();
                if let Reply::Configured(root) = self.order(Verb::Configure {}).await? {
                    // Unless this side has taken a newer one meanwhile.
                    self.root.send_if_modified(|known| {
                        let still = Arc::ptr_eq(known, &sent);
                        if still {
                            *known = Arc::from(root);
                        }
                        still
                    });
                }
                self.order(verb).await
            }
            answer => answer,
        }
    }

    async fn order(&self, verb: Verb) -> Result<Reply, Refusal> {
        let root = self.root();
        let Some(socket) = &self.socket else {
            return execute(Order { digest: root.digest(), verb }, &root).await;
        };
        let limit = verb.limit() + WAY;
        let order = Order { digest: root.digest(), verb };
        let answer = calls::call(socket, &order, limit).await;
        let silent = match &answer {
            Err(error) => Some(Chain(error).to_string()),
            // Without systemd it can do as little as if it said nothing.
            Ok(Err(refusal @ Refusal::Unreachable(_))) => Some(refusal.to_string()),
            Ok(_) => None,
        };
        self.silent.send_if_modified(|known| {
            let changed = *known != silent;
            known.clone_from(&silent);
            changed
        });
        answer.unwrap_or_else(|error| Err(Refusal::Silent(Chain(&error).to_string())))
    }
}
