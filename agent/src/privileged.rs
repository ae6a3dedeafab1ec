//! Privileged work: the closed list of things that may need root, and the one place that does them.
//!
//! ```text
//!   feature ──Verb──► Privileged (handle) ──► execute(order, &RootConfig) ──► Reply | Refusal
//!                        └ in this process, or over a socket in `stationd privileged`
//! ```
//!
//! Invariants: a verb names an app and never says what to run: programs, accounts, folders and
//! environments come from [`RootConfig`] alone, which this side builds from the configuration
//! itself. An order carries the digest of the configuration its sender has, and is refused on a
//! mismatch. Nothing outside this module and `os` changes a uid or talks to PID 1.
//!
//! Not here: when to start or stop anything (`apps`), and how a keeper works (`keeper`).

mod access;
mod account;
mod app;
mod handle;
pub mod keeper;
mod mount;
pub mod role;
pub mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::app::{find, recipe};
use self::keeper::files::{Exit, Kept, State, StopBy};
use crate::base::chain::Chain;
use crate::base::ids::AppName;
use crate::base::limits;
use crate::warden;
use crate::warden::files::{Launch, Source};

pub use self::account::{NoUser, UnitUser};
pub use self::app::environment;
pub use self::app::recipe::Kind;
pub use self::handle::Privileged;

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// Take up the configuration that the order's digest names, and say what it is.
    Configure {},
    /// Look for the app's program.
    FindApp { app: AppName },
    /// End what is left of earlier generations, then start the app.
    StartApp {
        app: AppName,
        generation: u64,
        /// The share is away: the app works in the local folder.
        #[serde(default)]
        scratch: bool,
    },
    /// End a tree that nobody holds any more; all generations if none is named.
    KillUnit { app: AppName, generation: Option<u64> },
    /// What there is of the app's unit.
    LookAtUnit { app: AppName },
    /// Ask the app's unit to end; after its grace it is killed.
    StopUnit { app: AppName, by: StopBy },
    /// Apps whose units run.
    ListUnits {},
    /// The last lines that the app's unit printed: all runs, or the last one.
    ReadLog { app: AppName, lines: usize, last_run: bool },
    /// Give the user root by sudo, or take it away, as the configuration says.
    SetRootAccess {},
    /// See that a warden holds the mount; one that does already goes on.
    StartMount { mount: AppName },
    /// End a warden that does not obey any more, and its driver with it. What is pending stays in the cache.
    KillMount { mount: AppName },
    /// The station rests: its sockets take no more connections.
    CloseSockets {},
}

impl Verb {
    /// Whether it must be done with the configuration that its sender has. The others do the same
    /// with any: what runs can be looked at and ended whatever became of the configuration.
    fn needs_digest(&self) -> bool {
        matches!(
            self,
            Self::FindApp { .. }
                | Self::StartApp { .. }
                | Self::SetRootAccess {}
                | Self::StartMount { .. }
        )
    }

    /// The app or share whose unit it starts or may end: one of these at a time.
    fn changes(&self) -> Option<&AppName> {
        match self {
            Self::StartApp { app, .. } | Self::KillUnit { app, .. } | Self::LookAtUnit { app } => {
                Some(app)
            }
            Self::StartMount { mount } | Self::KillMount { mount } => Some(mount),
            _ => None,
        }
    }

    /// How long an answer may take, every step of the verb at its limit.
    fn limit(&self) -> Duration {
        match self {
            Self::StartApp { .. } => {
                let left_over = limits::APP_STOP + limits::KILL_WAIT;
                left_over + limits::START_STEPS + limits::KEEPER_START + limits::BUS
            }
            Self::FindApp { .. } => limits::START_STEPS,
            Self::StartMount { .. } => limits::KEEPER_START + limits::BUS * 2,
            Self::KillUnit { .. } | Self::KillMount { .. } => limits::KILL_WAIT + limits::BUS,
            Self::ReadLog { .. } | Self::SetRootAccess {} => limits::USER_STEP * 2,
            _ => limits::BUS * 2,
        }
    }
}

/// A verb, and which configuration its sender has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub digest: String,
    pub verb: Verb,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Configured(Box<RootConfig>),
    Found { program: PathBuf },
    Started(Box<State>),
    Killed { processes: u32 },
    Looked(Looked),
    Units(Vec<AppName>),
    Log(Vec<String>),
    Done,
}

/// What there is of an app's unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Looked {
    Running(Kept),
    /// It is on its way out.
    Ending(Kept),
    Ended(Exit),
    /// It has ended, and nobody wrote down how.
    Lost {
        generation: u64,
    },
    /// The machine was restarted meanwhile.
    OtherBoot {
        generation: u64,
    },
    Nothing,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("the configuration has changed in between: try again")]
    ConfigChanged,
    #[error("there is no app {0} in the configuration")]
    UnknownApp(AppName),
    #[error("there is no share {0} in the configuration")]
    UnknownMount(AppName),
    #[error("no {program} that {user} may run was found; looked in: {}", .tried.join(", "))]
    ProgramMissing { program: String, user: String, tried: Vec<String> },
    #[error("{0}")]
    StartFailed(String),
    #[error("{left} processes of an earlier run of {app} cannot be ended: end them by hand")]
    LeftRunning { app: AppName, left: u32 },
    #[error("the order is not understood: {0}")]
    NotUnderstood(String),
    #[error("this cannot be done here: {0}")]
    NotHere(String),
    #[error("the configuration cannot be used: {0}")]
    BadConfig(String),
    #[error("systemd refused: {0}")]
    Systemd(String),
    #[error("systemd is out of reach: {0}")]
    Unreachable(String),
    #[error("it took longer than {0} s")]
    TooLong(u64),
    #[error("sudo rights stay as they are: {0}")]
    RootAccess(String),
    #[error(
        "the privileged part does not answer ({0}); look at `systemctl status \
         stationd-privileged.service`"
    )]
    Silent(String),
}

/// What holds the apps while stationd comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A keeper of ours for each.
    Keepers,
    /// Transient units of systemd.
    Units,
}

/// Everything a verb may use; plain data, built from the configuration by wiring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootConfig {
    /// The first eight digits of the instance id; `system` with [`Holder::Units`], of which a
    /// machine has one.
    pub instance: String,
    pub holder: Holder,
    /// The group that may connect to the apps' sockets: stationd's, where it runs as another user
    /// than root and the apps' own.
    pub group: Option<u32>,
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
    /// Whether that account may become root by sudo.
    pub root_access: bool,
    /// What apps show as their root.
    pub workspace: PathBuf,
    /// Whether the workspace is stationd's own folder, made and given to the user if it is missing.
    /// Any other one is made by the user, where they may.
    pub own_workspace: bool,
    /// Where the user begins; in the workspace. Made if it is missing.
    pub folder: PathBuf,
    /// The local folder that stands in while the share is away; `None` where the workspace is local.
    #[serde(default)]
    pub scratch: Option<PathBuf>,
    /// What apps get of stationd's own environment: see [`environment::passed`].
    pub environment: BTreeMap<String, String>,
    pub apps: Vec<AppRoot>,
    /// One folder per mount for its warden; a restart of the machine clears them.
    #[serde(default)]
    pub wardens: PathBuf,
    /// Shares are seen below it.
    #[serde(default)]
    pub mounts_dir: PathBuf,
    /// The account of stationd, which may talk to wardens.
    #[serde(default)]
    pub own: u32,
    #[serde(default)]
    pub mounts: Vec<MountRoot>,
}

/// One share, as the privileged side sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRoot {
    pub name: AppName,
    pub source: Source,
    /// Where local copies of its files lie.
    pub cache: PathBuf,
    pub cache_max_mib: u64,
    pub read_only: bool,
}

/// One app, as the privileged side sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRoot {
    pub name: AppName,
    pub kind: Kind,
    /// The program and arguments put before ours; empty: look for the program.
    pub command: Vec<String>,
    /// The port of 127.0.0.1 that it listens on.
    #[serde(default)]
    pub port: Option<u16>,
    /// Whether it knows that it lives below `/apps/NAME`.
    #[serde(default = "yes")]
    pub keeps_prefix: bool,
    /// The path below its own that tells whether it answers, if its kind has none.
    #[serde(default)]
    pub health: String,
    /// Bytes of memory for it and all it starts.
    #[serde(default)]
    pub memory_max: Option<u64>,
    /// It is another view of this app, and never started.
    #[serde(default)]
    pub shares: Option<AppName>,
}

fn yes() -> bool {
    true
}

impl AppRoot {
    /// An app of which nothing is configured but what it is.
    pub fn plain(name: AppName, kind: Kind, command: Vec<String>) -> Self {
        Self {
            name,
            kind,
            command,
            port: None,
            keeps_prefix: kind != Kind::RStudio,
            health: String::new(),
            memory_max: None,
            shares: None,
        }
    }
}

impl RootConfig {
    /// Names this configuration; both sides compute it. What they inherited is no part of it.
    pub fn digest(&self) -> String {
        hash(&Self { environment: BTreeMap::new(), ..self.clone() })
    }

    /// The same with the local folder in the share's place.
    pub fn on_scratch(&self) -> Option<Self> {
        let workspace = self.scratch.clone()?;
        let below = self.folder.strip_prefix(&self.workspace).unwrap_or(Path::new(""));
        let folder = workspace.join(below);
        Some(Self { workspace, folder, own_workspace: true, ..self.clone() })
    }

    /// Names what an app is started as; it changes when a running one would need a restart.
    pub fn fingerprint(&self, app: &AppName) -> Option<String> {
        let plain = Self { environment: BTreeMap::new(), ..self.clone() };
        let app = plain.app(app)?;
        let recipe = recipe::build(&plain, app, &recipe::Given::for_comparison());
        Some(hash(&(recipe, self.user.uid)))
    }

    /// Where the app's sockets lie.
    pub fn folder_of(&self, app: &AppName) -> PathBuf {
        self.sockets.join(app.as_str())
    }

    /// The socket that the app listens on.
    pub fn socket(&self, app: &AppName) -> PathBuf {
        self.folder_of(app).join("s.sock")
    }

    /// The newest file of the app's log.
    pub fn log(&self, app: &AppName) -> PathBuf {
        self.logs.join(format!("{app}.log"))
    }

    /// What the configuration says of one app.
    pub fn app(&self, name: &AppName) -> Option<&AppRoot> {
        self.apps.iter().find(|app| app.name == *name)
    }

    /// What the configuration says of one share.
    pub fn mount(&self, name: &AppName) -> Option<&MountRoot> {
        self.mounts.iter().find(|mount| mount.name == *name)
    }

    /// What the share's warden is told; it changes when a running one would need a restart.
    pub fn launch(&self, mount: &MountRoot) -> Launch {
        let plain = Launch {
            version: warden::files::VERSION,
            name: mount.name.clone(),
            spec: String::new(),
            place: self.mounts_dir.join(mount.name.as_str()),
            above: self.mounts_dir.clone(),
            program: self.keeper.clone(),
            uid: self.user.uid,
            gid: self.user.gid,
            client: self.own,
            cache: mount.cache.clone(),
            cache_max_mib: mount.cache_max_mib,
            read_only: mount.read_only,
            source: mount.source.clone(),
        };
        Launch { spec: hash(&plain), ..plain }
    }

    /// The value of `STATIOND_UNIT`, which names one run of an app; two installations never end each other's processes.
    pub fn unit(&self, app: &AppName, generation: u64) -> String {
        format!("{}/{app}/{generation}", self.instance)
    }
}

fn hash(value: &impl Serialize) -> String {
    // Plain data with string keys always serialises.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let digest = Sha256::digest(&text);
    data_encoding::HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}

fn failed(error: &dyn std::error::Error) -> Refusal {
    Refusal::StartFailed(Chain(error).to_string())
}

/// Does what the order says, or says why not. The same function serves both back ends.
pub async fn execute(order: Order, root: &RootConfig) -> Result<Reply, Refusal> {
    let Order { digest, verb } = order;
    if verb.needs_digest() && digest != root.digest() {
        return Err(Refusal::ConfigChanged);
    }
    let known = |name: &AppName| root.app(name).ok_or_else(|| Refusal::UnknownApp(name.clone()));
    match (verb, root.holder) {
        (Verb::Configure {}, _) => Ok(Reply::Configured(Box::new(root.clone()))),
        (Verb::FindApp { app }, _) => {
            let program = find::program(root, known(&app)?).await?;
            Ok(Reply::Found { program })
        }
        (Verb::StartApp { app, generation, scratch }, holder) => {
            let app = known(&app)?;
            let there = if scratch { root.on_scratch() } else { None };
            let root = there.as_ref().unwrap_or(root);
            Ok(Reply::Started(match holder {
                Holder::Keepers => keeper::start::start(root, app, generation).await?,
                Holder::Units => units::start(root, app, generation).await?,
            }))
        }
        // An app that has left the configuration must still be ended.
        (Verb::KillUnit { app, generation }, Holder::Keepers) => {
            let processes = keeper::sweep::sweep(root, &app, generation).await?;
            Ok(Reply::Killed { processes })
        }
        (Verb::StartMount { mount }, _) => {
            let known = root.mount(&mount).ok_or_else(|| Refusal::UnknownMount(mount.clone()));
            mount::start(root, known?).await?;
            Ok(Reply::Done)
        }
        // A share that has left the configuration must still be given up.
        (Verb::KillMount { mount }, _) => {
            mount::kill(root, &mount).await?;
            Ok(Reply::Done)
        }
        (verb, Holder::Units) => units::execute(verb, root).await,
        (_, Holder::Keepers) => Err(Refusal::NotHere("no unit of systemd holds the apps".into())),
    }
}

#[cfg(test)]
mod tests;
