//! One health statement, after the conditions of Kubernetes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// Whether the condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    True,
    False,
    /// It could not be found out, or the last finding is too old.
    Unknown,
}

/// A health statement. Every condition names a problem: `true` is bad news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// What is stated, such as `AppFailed`; `stationctl explain TYPE` tells more.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is stated of, such as an app's name; empty for the machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    pub status: Truth,
    /// One word in camel case for programs.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// What to do; empty if there is nothing to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// Since when `status` has been what it is. Survives a restart of stationd.
    pub since: Time,
}
