//! Tokens: those that open one app for a script or an editor, and those that allow actions of the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// `POST /v1/tokens`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The app that the token opens; absent for one that allows actions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// What the token allows at the API: names of [`Action`]. Absent for one that opens an app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// How long it holds: at least 60, at most 7776000 (90 days).
    #[serde(default = "twelve_hours")]
    pub ttl_seconds: u64,
    /// What it is for, to know it again in the list: one line.
    #[serde(default)]
    pub note: String,
}

/// What somebody may do with a station, under the reference's names: the operations of Azure Machine
/// Learning's compute instances, without their common first part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// To look: heartbeat, node, GPUs, apps, events, metrics.
    Read,
    /// To change the station itself. No route of this release needs it.
    Write,
    /// To delete it. No route of this release needs it.
    Delete,
    /// To start apps.
    Start,
    /// To stop apps.
    Stop,
    /// To restart apps.
    Restart,
    /// To make login links for the user, and to read what apps printed.
    ApplicationAccess,
}

impl Action {
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::Delete,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::ApplicationAccess,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "computes/read",
            Self::Write => "computes/write",
            Self::Delete => "computes/delete",
            Self::Start => "computes/start/action",
            Self::Stop => "computes/stop/action",
            Self::Restart => "computes/restart/action",
            Self::ApplicationAccess => "computes/applicationaccess/action",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Every name, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

fn twelve_hours() -> u64 {
    12 * 3600
}

/// A token as its owner sees it; never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// The number by which it is revoked.
    pub id: u64,
    /// The app that it opens; absent for one that allows actions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// What it allows at the API; absent for one that opens an app.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    pub note: String,
    pub created_at: Time,
    pub expires_at: Time,
    /// Absent: it was never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
}

/// A token that was just made, with its secret: the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    #[serde(flatten)]
    pub token: Token,
    /// `stn_…`
    pub secret: String,
    /// The app's address, or that of the API; without the token. Empty without a public listener.
    pub url: String,
    /// The port on this machine, for an SSH tunnel.
    pub port: u16,
    /// Whether only this machine itself can open the URL.
    pub loopback: bool,
}
