//! The body of every error answer: RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `application/problem+json`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable identifier such as `about:stationd/app-not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence of this type.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened this time, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The same as `detail`, where an app's page looks for it: JupyterLab's dialogs show this member.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
