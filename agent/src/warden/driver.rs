//! How each driver is started: its program, arguments, environment and configuration file. Pure.
//!
//! A secret is never an argument, which every user can read: it goes into a file on a tmpfs that only root
//! sees.

pub(super) mod blobfuse2;
pub(super) mod kernel;
pub(super) mod rclone;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::{Launch, Source};

/// What is known at the moment of the start.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// The folder that the driver mounts on.
    pub(super) at: PathBuf,
    /// Where its configuration goes.
    pub(super) config: PathBuf,
    /// What the credential file holds.
    pub(super) secret: Option<String>,
    /// Whether other users may see what we mount: only root can allow that.
    pub(super) root: bool,
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Looked for in the usual places.
    pub(super) program: &'static str,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// What the configuration file says.
    pub(super) config: Option<String>,
    /// Folders of its own, each made anew.
    pub(super) folders: Vec<PathBuf>,
}

/// Whether a process stays as long as the mount.
pub(super) fn stays(source: &Source) -> bool {
    matches!(source, Source::Rclone(_) | Source::Blobfuse2(_))
}

pub(super) fn plan(launch: &Launch, given: &Given) -> Plan {
    match &launch.source {
        Source::Rclone(source) => rclone::plan(launch, source, given),
        Source::Blobfuse2(container) => blobfuse2::plan(launch, container, given),
        Source::Cifs(share) => kernel::cifs(launch, share, given),
        Source::Nfs(export) => kernel::nfs(launch, export, given),
    }
}

/// Drivers want a home and a PATH, and get nothing else of ours.
fn environment(given: &Given) -> BTreeMap<String, String> {
    let home = given.config.parent().unwrap_or(&given.config).display().to_string();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    [("HOME", home), ("PATH", path.to_owned()), ("LANG", "C.UTF-8".to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[cfg(test)]
mod tests;
