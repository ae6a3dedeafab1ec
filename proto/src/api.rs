//! Requests and small answers of the `/v1` API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// `POST /v1/login-links`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginLinkRequest {
    /// Where the browser goes after the login: a path on this server.
    #[serde(default = "root")]
    pub next: String,
}

fn root() -> String {
    "/".to_owned()
}

/// A link that opens one browser session, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginLink {
    pub url: String,
    pub expires_at: Time,
    /// The port on this machine, for an SSH tunnel.
    pub port: u16,
    /// Whether only this machine itself can open the URL.
    pub loopback: bool,
}

/// What still runs, or was stopped: the answer of `POST /v1/down`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownReport {
    /// Apps that were stopped.
    pub stopped: Vec<String>,
    /// What could not be stopped in time, and why.
    pub left: Vec<String>,
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mistake {
    pub file: String,
    /// Counted from 1; absent if the mistake has no line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Such as `listen.address`.
    pub field: String,
    pub problem: String,
    pub remedy: String,
}
