//! What a warden reads and says: the formats that outlive a release.
//!
//! Release N talks to the wardens that N-1 left, so fields are only added, each with a default; readers
//! ignore what they do not know.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use station_proto::mount::{MountPhase, MountSample, PendingFile};

use crate::base::ids::AppName;

/// The version of every format in this file.
pub const VERSION: u32 = 1;
/// None of these files is larger.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where a warden's files lie: one folder per mount, which survives stationd and is cleared by a
/// restart of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn of(wardens: &Path, mount: &AppName) -> Self {
        Self(wardens.join(mount.as_str()))
    }

    /// What to hold; written before the warden starts.
    pub fn launch(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// Who holds it, and which driver runs.
    pub fn held(&self) -> PathBuf {
        self.0.join("held.json")
    }

    /// Where the warden listens.
    pub fn socket(&self) -> PathBuf {
        self.0.join("m.sock")
    }

    /// Held as long as the warden lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What the warden and its drivers say, where no journal takes it.
    pub fn log(&self) -> PathBuf {
        self.0.join("warden.log")
    }

    /// The private tmpfs: the driver's configuration, with its secrets, and the place where it mounts first.
    pub fn stage(&self) -> PathBuf {
        self.0.join("stage")
    }
}

/// `launch.json`: what a warden holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub version: u32,
    pub name: AppName,
    /// Names what the configuration asks for; a warden with another one must be started again.
    pub spec: String,
    /// Where the share is to be seen.
    pub place: PathBuf,
    /// The shared mount above it, which containers and units bind.
    pub above: PathBuf,
    /// The program that looks at the mount, as `PROGRAM probe share`.
    pub program: PathBuf,
    /// Whose files they are shown to be.
    pub uid: u32,
    pub gid: u32,
    /// Who may talk to the warden, beside its own user: stationd.
    pub client: u32,
    /// Local copies of the share's files.
    pub cache: PathBuf,
    pub cache_max_mib: u64,
    pub read_only: bool,
    pub source: Source,
}

/// What brings the share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum Source {
    Rclone(Rclone),
    Blobfuse2(Container),
    Cifs(Cifs),
    Nfs(Nfs),
}

impl Source {
    /// As the configuration writes it.
    pub fn driver(&self) -> &'static str {
        match self {
            Self::Rclone(_) => "rclone",
            Self::Blobfuse2(_) => "blobfuse2",
            Self::Cifs(_) => "cifs",
            Self::Nfs(_) => "nfs",
        }
    }
}

/// What rclone mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rclone {
    /// A container of Azure Blob Storage.
    Container(Container),
    /// A remote of a configuration file of rclone's own.
    Remote {
        /// `NAME:PATH`
        remote: String,
        config: PathBuf,
    },
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub account: String,
    pub container: String,
    /// The folder in it that is mounted; empty for all of it.
    #[serde(default)]
    pub subdirectory: String,
    /// Where the service is, if not at the account's usual name.
    #[serde(default)]
    pub endpoint: Option<String>,
    pub login: Login,
}

/// How the driver proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "with", rename_all = "kebab-case")]
pub enum Login {
    /// The account's key, in a file.
    Key { file: PathBuf },
    /// A shared access signature, in a file.
    Sas { file: PathBuf },
    /// A service principal; its secret is in a file.
    Spn { tenant: String, client: String, file: PathBuf },
    /// The machine's managed identity, or one of several by its client id.
    Msi { client: Option<String> },
    /// A token that a platform writes to a file.
    WorkloadIdentity { tenant: String, client: String, file: PathBuf },
}

impl Login {
    /// The file with the secret, if there is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Key { file }
            | Self::Sas { file }
            | Self::Spn { file, .. }
            | Self::WorkloadIdentity { file, .. } => Some(file),
            Self::Msi { .. } => None,
        }
    }
}

/// A share by SMB, mounted by the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cifs {
    /// `//SERVER/SHARE`
    pub share: String,
    /// A file as `mount.cifs(8)` wants it: `username=` and `password=` lines.
    pub credentials: PathBuf,
}

/// An export by NFS, mounted by the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nfs {
    /// `SERVER:/EXPORT`
    pub export: String,
}

/// One line from the warden: sent on connect, at every change and now and then for the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    pub spec: String,
    pub phase: MountPhase,
    pub ready: bool,
    /// For a person: what it is doing, what is wrong, what to do.
    pub message: String,
    /// What is wrong.
    #[serde(default)]
    pub troubles: Vec<Told>,
    pub generation: u64,
    /// Unix time in ms.
    pub since: i64,
    #[serde(default)]
    pub heals: u64,
    #[serde(default)]
    pub last_loss: Option<String>,
    pub sample: MountSample,
    #[serde(default)]
    pub pending_files: Vec<PendingFile>,
    /// The process that brings the share, for whoever looks with other tools.
    #[serde(default)]
    pub driver_pid: Option<i32>,
}

/// Something that is wrong with a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub trouble: Trouble,
    pub message: String,
    pub action: String,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The driver cannot be started, or ends again and again.
    CannotMount,
    /// It was lost and is being put back.
    Lost,
    /// The storage behind it does not answer.
    Unreachable,
    /// The storage refuses who we say we are.
    Denied,
    /// Somebody mounted something else over it.
    Covered,
    /// The disk of the local copies is full, or nearly.
    CacheFull,
    /// Uploads fail, or do not get on.
    UploadsStuck,
    /// A drain cannot come to its end.
    DrainBlocked,
    /// A later release's word.
    #[serde(other)]
    Other,
}

/// One line to the warden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Order {
    /// Bring everything to the share, then unmount and stay so. What has not come to its end after
    /// `limit_ms` goes on, and is reported.
    Drain { limit_ms: u64 },
    /// The same, then end the warden.
    Stop { limit_ms: u64 },
    /// Take up the share again after a drain.
    Mount,
    /// Start the driver anew: what is pending is saved as after a crash.
    Restart,
}
