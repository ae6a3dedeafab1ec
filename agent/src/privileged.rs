//! Privileged work: the closed list of things that may need root, and the one place that does them.
//!
//! ```text
//!   feature ──Verb──► Privileged (handle) ──► execute(verb, &RootConfig) ──► Reply | Refusal
//!                        └ in this process today; over a socket where a root helper runs
//! ```
//!
//! Invariants: a verb names an app and never says what to run: programs, accounts, folders and
//! environments come from [`RootConfig`] alone, which this side builds from the configuration
//! itself. A verb carries the digest of the configuration its sender has, and is refused on a
//! mismatch. Nothing outside this module and `os` changes a uid.
//!
//! Not here: when to start or stop anything (`apps`), and how a keeper works (`keeper`).

mod account;
pub mod environment;
mod find;
mod folders;
pub mod keeper;
mod recipe;
mod start;
mod sweep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use self::keeper::files::State;
use crate::base::ids::AppName;

pub use self::account::{NoUser, UnitUser};
pub use self::recipe::Kind;

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Verb {
    /// Look for the app's program.
    FindApp { app: AppName, digest: String },
    /// End what is left of earlier generations, then start the app under a keeper.
    StartApp { app: AppName, generation: u64, digest: String },
    /// End a tree whose keeper is gone; all generations if none is named.
    KillUnit { app: AppName, generation: Option<u64>, digest: String },
}

impl Verb {
    fn digest(&self) -> &str {
        match self {
            Self::FindApp { digest, .. }
            | Self::StartApp { digest, .. }
            | Self::KillUnit { digest, .. } => digest,
        }
    }
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Found { program: PathBuf },
    Started(Box<State>),
    Killed { processes: u32 },
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("the configuration has changed in between: try again")]
    ConfigChanged,
    #[error("there is no app {0} in the configuration")]
    UnknownApp(AppName),
    #[error("no {program} that {user} may run was found; looked in: {}", .tried.join(", "))]
    ProgramMissing { program: String, user: String, tried: Vec<String> },
    #[error("{0}")]
    StartFailed(String),
    #[error("{left} processes of an earlier run of {app} cannot be ended: end them by hand")]
    LeftRunning { app: AppName, left: u32 },
}

/// Everything a verb may use; plain data, built from the configuration by wiring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootConfig {
    /// The first eight digits of the instance id.
    pub instance: String,
    /// The program that is run as `PROGRAM keep --dir DIR`.
    pub keeper: PathBuf,
    /// One folder per app for its keeper; on a disk that survives stationd.
    pub keepers: PathBuf,
    /// The apps' sockets lie in `sockets/NAME/s.sock`.
    pub sockets: PathBuf,
    /// The apps' logs: `logs/NAME.log`.
    pub logs: PathBuf,
    /// Where stationd's own tools were installed; its `bin` is looked into first.
    pub tools: PathBuf,
    /// Exported as `STATIOND_SOCKET`.
    pub admin_socket: PathBuf,
    /// The account the apps run under.
    pub user: UnitUser,
    /// What apps get of stationd's own environment: see [`environment::passed`].
    pub environment: BTreeMap<String, String>,
    pub apps: Vec<AppRoot>,
}

/// One app, as the privileged side sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRoot {
    pub name: AppName,
    pub kind: Kind,
    /// The program and arguments put before ours; empty: look for the program.
    pub command: Vec<String>,
    /// What the app shows as its root.
    pub workspace: PathBuf,
    /// Whether the workspace is stationd's own folder, made and given to the user if it is missing.
    /// Any other one is made by the user, where they may.
    pub own_workspace: bool,
    /// Where the user begins; in the workspace. Made if it is missing.
    pub folder: PathBuf,
}

impl RootConfig {
    /// Names this configuration; both sides compute it.
    pub fn digest(&self) -> String {
        hash(self)
    }

    /// Names what an app is started as; it changes when a running one would need a restart.
    pub fn fingerprint(&self, app: &AppName) -> Option<String> {
        let app = self.app(app)?;
        let recipe = recipe::build(self, app, &recipe::Given::for_comparison());
        Some(hash(&(recipe, self.user.uid)))
    }

    /// The socket that the app listens on.
    pub fn socket(&self, app: &AppName) -> PathBuf {
        self.sockets.join(app.as_str()).join("s.sock")
    }

    /// The newest file of the app's log.
    pub fn log(&self, app: &AppName) -> PathBuf {
        self.logs.join(format!("{app}.log"))
    }

    /// What the configuration says of one app.
    pub fn app(&self, name: &AppName) -> Option<&AppRoot> {
        self.apps.iter().find(|app| app.name == *name)
    }

    /// The value of `STATIOND_UNIT`; two installations never end each other's processes.
    fn unit(&self, app: &AppName, generation: u64) -> String {
        format!("{}/{app}/{generation}", self.instance)
    }
}

fn hash(value: &impl Serialize) -> String {
    // Plain data with string keys always serialises.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let digest = Sha256::digest(&text);
    data_encoding::HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}

/// Does what the verb says, or says why not. The same function serves both back ends.
pub async fn execute(verb: Verb, root: &RootConfig) -> Result<Reply, Refusal> {
    if verb.digest() != root.digest() {
        return Err(Refusal::ConfigChanged);
    }
    let known = |name: &AppName| root.app(name).ok_or_else(|| Refusal::UnknownApp(name.clone()));
    match verb {
        Verb::FindApp { app, .. } => {
            let program = find::program(root, known(&app)?).await?;
            Ok(Reply::Found { program })
        }
        Verb::StartApp { app, generation, .. } => {
            let state = start::start(root, known(&app)?, generation).await?;
            Ok(Reply::Started(state))
        }
        // An app that has left the configuration must still be ended.
        Verb::KillUnit { app, generation, .. } => {
            let processes = sweep::sweep(root, &app, generation).await?;
            Ok(Reply::Killed { processes })
        }
    }
}

/// The way to the privileged side; clones share it.
#[derive(Debug, Clone)]
pub struct Privileged {
    back_end: BackEnd,
}

/// A socket to `stationd privileged` will be the second one.
#[derive(Debug, Clone)]
enum BackEnd {
    InProcess(watch::Receiver<Arc<RootConfig>>),
}

impl Privileged {
    /// Does the work in this process, with whatever rights it has.
    pub fn in_process(root: watch::Receiver<Arc<RootConfig>>) -> Self {
        Self { back_end: BackEnd::InProcess(root) }
    }

    /// The configuration as this side has it, for paths and for the digest of a verb.
    pub fn root(&self) -> Arc<RootConfig> {
        let BackEnd::InProcess(root) = &self.back_end;
        Arc::clone(&root.borrow())
    }

    /// Asks for a verb and waits for the answer; every verb has its own time limits.
    pub async fn call(&self, verb: Verb) -> Result<Reply, Refusal> {
        let root = self.root();
        execute(verb, &root).await
    }
}

#[cfg(test)]
mod tests;
