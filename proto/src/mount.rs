//! Mounts: the shares that apps work on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A mount as `GET /v1/mounts` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    pub name: String,
    /// `directory`: a local folder.
    pub driver: String,
    /// Where apps find it.
    pub path: String,
    pub ready: bool,
    pub message: String,
}
