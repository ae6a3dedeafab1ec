//! Wardens: started and, where they obey no more, ended. What they do is theirs (`warden`); which share they
//! hold is built here, from the configuration alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;

use super::{Holder, MountRoot, Refusal, RootConfig, failed, units};
use crate::base::ids::AppName;
use crate::os::command::{self, Program};
use crate::os::{file, process};
use crate::warden::files::Folder;

/// Sees that a warden holds the share.
pub(super) async fn start(root: &RootConfig, mount: &MountRoot) -> Result<(), Refusal> {
    let folder = Folder::of(&root.wardens, &mount.name);
    for path in [&root.wardens, &folder.0] {
        file::ensure_own_dir(path, 0o711).map_err(|error| failed(&error))?;
        // Whoever talks to wardens passes through, and lists nothing; our umask would forbid it.
        let open = fs::set_permissions(path, fs::Permissions::from_mode(0o711));
        open.map_err(|error| failed(&error))?;
    }
    if UnixStream::connect(folder.socket()).is_ok() {
        return Ok(());
    }
    let launch = root.launch(mount);
    if let Some(above) = launch.cache.parent() {
        file::ensure_dir(above, 0o700).map_err(|error| failed(&error))?;
    }
    let text = serde_json::to_vec_pretty(&launch).map_err(|error| failed(&error))?;
    file::write_atomic(&folder.launch(), &text, 0o600).map_err(|error| failed(&error))?;
    let dir = folder.0.display().to_string();
    if root.holder == Holder::Units {
        return units::start_warden(root, &mount.name, &dir).await;
    }
    let program = Program {
        program: root.keeper.clone(),
        arguments: ["warden", "--dir", &dir].map(str::to_owned).to_vec(),
        environment: passed_on(),
        folder: "/".into(),
        account: None,
    };
    let log = file::create_log(&folder.log()).map_err(|error| failed(&error))?;
    command::start_keeper(&program, log).map(drop).map_err(|error| failed(&error))
}

/// Tests put older kernels and other drivers in the place of what is here.
fn passed_on() -> BTreeMap<String, String> {
    std::env::vars().filter(|(name, _)| name.starts_with("STATIOND_MOUNT_")).collect()
}

/// Ends it by force.
pub(super) async fn kill(root: &RootConfig, mount: &AppName) -> Result<(), Refusal> {
    if root.holder == Holder::Units {
        return units::kill_warden(mount).await;
    }
    let folder = Folder::of(&root.wardens, mount);
    // Its note is the process that has the lock, if somebody has it.
    match file::lock(&folder.lock(), "") {
        Ok(Err(file::Holder(pid))) => {
            let Ok(pid) = pid.parse() else { return Ok(()) };
            process::signal(pid, Signal::SIGKILL).map_err(|error| failed(&error))
        }
        _ => Ok(()),
    }
}
