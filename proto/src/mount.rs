//! Mounts: the shares that apps work on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// A mount as `GET /v1/mounts` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    pub name: String,
    /// `directory`: a local folder; else the program or file system that brings the share:
    /// `blobfuse2`, `rclone`, `cifs`, `nfs`.
    pub driver: String,
    /// Where apps find it.
    pub path: String,
    pub ready: bool,
    pub message: String,
    /// Absent: unknown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase: MountPhase,
    /// How often the driver was started; absent for a local folder.
    #[serde(default, skip_serializing_if = "is_default")]
    pub generation: u64,
    /// Since when `phase` has been what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How often it was lost and came back; absent: never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub heals: u64,
    /// Why it was lost the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_loss: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Mount {
    /// A mount of which nothing is known yet.
    pub fn unknown(name: &str, driver: &str, path: String) -> Self {
        Self {
            name: name.to_owned(),
            driver: driver.to_owned(),
            path,
            ready: false,
            message: "not looked at yet".to_owned(),
            phase: MountPhase::Unknown,
            generation: 0,
            since: None,
            heals: 0,
            last_loss: None,
        }
    }
}

/// What a mount is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MountPhase {
    /// Not looked at yet, or its warden does not answer.
    #[default]
    Unknown,
    /// What an earlier run left is saved before the driver starts.
    Preparing,
    /// The driver was started and does not answer yet.
    Starting,
    Ready,
    /// It answers, and something is wrong: `message` says what.
    Degraded,
    /// It was lost; nobody has to do anything.
    Healing,
    /// It cannot be started, and is tried again and again.
    Failing,
    /// What is pending is brought to the share before the end.
    Draining,
    /// It was unmounted on purpose.
    Unmounted,
}

/// The figures of a mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MountSample {
    pub name: String,
    /// When the pending files were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What has been written and closed and has not reached the share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Files that an application has open for writing: nothing is promised for these yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// How long the last look at the root of the mount took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_us: Option<u64>,
    /// Requests that wait for the driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Whether the storage behind the driver can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
    /// Local copies of the share's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_mib: Option<u64>,
    /// What is free where they lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_free_mib: Option<u64>,
    /// Files that a driver had lost sight of and that were given back to it, since the warden started.
    #[serde(default)]
    pub rescued_files: u64,
    /// From the loss to the moment when it could be used again, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heal_ms: Option<u64>,
    /// Processes whose working directory or files lie on a mount that is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<Stranded>,
}

/// What has not reached the share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    pub files: u64,
    pub bytes: u64,
    /// How long the oldest has been waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// Those of them whose upload has failed.
    #[serde(default)]
    pub errored: u64,
}

/// A file that has not reached the share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingFile {
    /// Below the mount.
    pub path: String,
    pub bytes: u64,
    /// When it was written last.
    pub at: Time,
}

/// A process that holds on to a mount that is gone: it must change its folder, or be started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stranded {
    pub pid: i32,
    pub command: String,
}

/// `GET /v1/mounts/NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MountDetail {
    pub mount: Mount,
    pub sample: MountSample,
    /// The oldest files that have not reached the share, 100 at most.
    pub pending_files: Vec<PendingFile>,
}

/// The answer to `POST /v1/mounts/NAME/drain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrainOutcome {
    /// Everything has reached the share.
    pub drained: bool,
    /// It is unmounted.
    pub unmounted: bool,
    /// Why not, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    pub pending: Pending,
    /// Those that are left, 100 at most.
    pub pending_files: Vec<PendingFile>,
}
