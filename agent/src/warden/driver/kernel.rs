//! Shares that the kernel itself mounts: pure. See mount.cifs(8) and nfs(5).
//!
//! Such a mount has no process. Only what is started is tested here, not a server.

use super::{Given, Plan, environment};
use crate::warden::files::{Cifs, Launch, Nfs};

/// Azure Files by SMB 3.1.1, and any other server of that version.
pub(super) fn cifs(launch: &Launch, share: &Cifs, given: &Given) -> Plan {
    let mut options = vec![
        format!("credentials={}", given.config.display()),
        "vers=3.1.1".to_owned(),
        "serverino".to_owned(),
        "nosharesock".to_owned(),
        "mfsymlinks".to_owned(),
        "actimeo=1".to_owned(),
        // A `close()` returns when the server has the data.
        "cache=strict".to_owned(),
        format!("uid={},gid={},forceuid,forcegid", launch.uid, launch.gid),
        "file_mode=0700,dir_mode=0700".to_owned(),
    ];
    options.extend(launch.read_only.then(|| "ro".to_owned()));
    plan(("cifs", &share.share), &options, given, given.secret.clone())
}

/// A hard mount: a call waits until the server is back, and nothing that was accepted is dropped.
pub(super) fn nfs(launch: &Launch, export: &Nfs, given: &Given) -> Plan {
    let mut options = vec![
        "vers=4.1".to_owned(),
        "hard".to_owned(),
        "proto=tcp".to_owned(),
        "actimeo=1".to_owned(),
    ];
    options.extend(launch.read_only.then(|| "ro".to_owned()));
    plan(("nfs", &export.export), &options, given, None)
}

fn plan(
    (kind, source): (&str, &str),
    options: &[String],
    given: &Given,
    config: Option<String>,
) -> Plan {
    let at = given.at.display().to_string();
    let words = ["-t", kind, source, &at, "-o", &options.join(",")];
    Plan {
        program: "mount",
        arguments: words.map(str::to_owned).to_vec(),
        environment: environment(given),
        config,
        folders: Vec::new(),
    }
}
