//! Events: every change of state, in one order.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// One event: a line of `GET /v1/events` (NDJSON), or one text message of its websocket.
///
/// Readers ignore kinds and fields that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The only order there is; never resets, over reboots either.
    pub seq: u64,
    pub at: Time,
    /// What happened, such as `app.ready`, `condition.set`, `login.used`, `gap`.
    pub kind: String,
    /// What it happened to, such as an app's name; empty for the machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// One sentence for people.
    pub message: String,
    /// More, by kind.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}
