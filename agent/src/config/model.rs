//! The configuration as types: what every part of the daemon is told. Pure data, no defaults of
//! its own beside those listed in `schema`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::ids::AppName;
use crate::warden::files::Source;

/// The whole configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub instance: Instance,
    pub listen: Listen,
    /// `None` without `[control]`.
    pub control: Option<Control>,
    pub identity: Identity,
    pub apps: Vec<App>,
    pub mounts: Vec<Mount>,
    pub gpu: Gpu,
    pub log: Log,
}

/// `[instance]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Shown in the status; `None` is the host name.
    pub name: Option<String>,
    /// Who the apps run as; `None` is whoever runs stationd.
    pub local_user: Option<String>,
    /// The user's folder below the workspace, with `{user}` for the local user's name.
    pub user_folder: String,
    /// Whether the local user may become root by sudo.
    pub root_access: bool,
}

impl Instance {
    /// The folder of `user`, relative to the workspace; empty for the workspace itself.
    pub fn folder_of(&self, user: &str) -> PathBuf {
        PathBuf::from(self.user_folder.replace("{user}", user))
    }
}

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    /// Names that a request's `Host` may carry, beside that of `public_url` and loopback names.
    /// Lower case, without ports.
    pub hosts: Vec<String>,
    /// `scheme://host[:port]`, lower case, without a slash at the end.
    pub public_url: Option<String>,
    pub tls: Tls,
    /// Origins that may send requests, beside our own. In the form of `public_url`.
    pub allowed_origins: Vec<String>,
}

impl Listen {
    /// Whether only this machine itself can connect.
    pub fn loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// The host name of `public_url`, without a port.
    pub fn public_host(&self) -> Option<&str> {
        let (_, authority) = self.public_url.as_deref()?.split_once("://")?;
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next(),
            None => authority.split(':').next(),
        };
        host.filter(|host| !host.is_empty())
    }
}

/// `[control]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    pub address: SocketAddr,
    /// Certificates of the authorities that may vouch for a control plane.
    pub client_ca: PathBuf,
    /// Names of which a client's certificate must have one: DNS names in lower case, and URIs.
    pub allowed_san: Vec<String>,
    /// A certificate of its own, and its key; `None` is that of `[listen]`.
    pub own_files: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// A certificate that stationd makes; its fingerprint is printed.
    SelfSigned,
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// `[identity]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// A session that was not used for this long ends.
    pub session: Duration,
}

/// `[[app]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub name: AppName,
    pub kind: AppKind,
    /// The program and arguments; empty lets stationd look for it.
    pub command: Vec<String>,
    pub start: Start,
    /// The port of 127.0.0.1 that a custom app listens on; `None`: on a Unix socket.
    pub port: Option<u16>,
    pub prefix: Prefix,
    /// The path below a custom app's own that is asked whether it answers.
    pub health: String,
    /// Bytes of memory that the app and all it starts may have.
    pub memory_max: Option<u64>,
    /// It is stopped after so long without activity.
    pub idle_stop: Option<Duration>,
    /// It has no server of its own: it is another view of this app's.
    pub shares: Option<AppName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKind {
    JupyterLab,
    /// Notebook 7, and nbclassic.
    Jupyter,
    RStudio,
    Custom,
}

/// Whether an app is told that it lives below `/apps/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    Keep,
    Strip,
}

/// Whose server a view of Jupyter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Shared,
    Own,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With stationd.
    Boot,
    /// When somebody opens it.
    OnDemand,
}

/// `[[mount]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `workspace` holds the working directory of the apps.
    pub name: AppName,
    pub driver: Driver,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// A local folder.
    Directory {
        path: PathBuf,
    },
    Share(Box<Share>),
}

/// What a driver mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub source: Source,
    /// Where local copies lie; `None`: at the usual place.
    pub cache_dir: Option<PathBuf>,
    /// Bytes of them.
    pub cache_max: u64,
    pub read_only: bool,
    /// How long apps wait for it before they start on a local folder.
    pub wait: Duration,
}

/// `[gpu]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpu {
    /// How many NVIDIA GPUs there should be; `None`: as many as there are.
    pub expected: Option<u32>,
}

/// `[log]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// As tracing's filter directives spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}
