//! Tokens that open one app for a script or an editor.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// `POST /v1/tokens`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The app that the token opens.
    pub app: String,
    /// How long it holds: at least 60, at most 7776000 (90 days).
    #[serde(default = "twelve_hours")]
    pub ttl_seconds: u64,
    /// What it is for, to know it again in the list: one line.
    #[serde(default)]
    pub note: String,
}

fn twelve_hours() -> u64 {
    12 * 3600
}

/// A token as its owner sees it; never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// The number by which it is revoked.
    pub id: u64,
    pub app: String,
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
    /// The app's address, without the token.
    pub url: String,
    /// The port on this machine, for an SSH tunnel.
    pub port: u16,
    /// Whether only this machine itself can open the URL.
    pub loopback: bool,
}
