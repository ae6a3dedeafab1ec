//! The folders that an app needs, each with its owner.
//!
//! One rule for all of them: where only stationd may write, it makes the folder and gives it to the
//! user; everywhere else the user makes it, in a process of their own. So no link that the user
//! put somewhere turns our rights on a foreign place, and a dead mount cannot hang us. What exists
//! already never changes its owner.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use crate::base::chain::Chain;
use crate::base::limits;
use crate::os::{command, file, socket};
use crate::privileged::keeper::files::Folder;
use crate::privileged::{AppRoot, Holder, Refusal, RootConfig, failed};

/// Everything that must be there before the program starts.
pub(in crate::privileged) async fn prepare(
    root: &RootConfig,
    app: &AppRoot,
    folder: &Folder,
) -> Result<(), Refusal> {
    let own_socket = root.socket(&app.name);
    for path in [&own_socket, &folder.socket()] {
        socket::check_path(path).map_err(|error| failed(&error))?;
    }
    let own = match root.holder {
        Holder::Keepers => vec![&root.keepers, &root.logs, &folder.0],
        // Their output goes to the journal.
        Holder::Units => vec![&root.keepers, &folder.0],
    };
    for path in own {
        file::ensure_own_dir(path, 0o700).map_err(|error| failed(&error))?;
    }
    for path in [folder.kept(), folder.exit(), folder.asked()] {
        remove(&path).map_err(|error| cannot("remove the old", &path, &error))?;
    }
    // Others may pass through to the folder of their own app, and list nothing.
    file::ensure_dir(&root.sockets, 0o711).map_err(|error| failed(&error))?;
    free(root, &own_socket).await?;
    socket_folder(root, &root.sockets.join(app.name.as_str()))?;
    if root.own_workspace {
        own_workspace(root, &root.workspace)?;
    }
    user_folder(root).await
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Refusal {
    Refusal::StartFailed(format!("cannot {what} {}: {error}", path.display()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Nothing stands where the app will listen. The place is the user's, who may have put anything
/// there: what is more than a file is removed with their rights alone.
async fn free(root: &RootConfig, path: &Path) -> Result<(), Refusal> {
    const SCRIPT: &str = "rm -rf -- \"$1\" || { chmod -R u+rwx -- \"$1\"; rm -rf -- \"$1\"; }";
    if remove(path).is_ok() {
        return Ok(());
    }
    let program = root.user.script(SCRIPT, [path.to_string_lossy().into_owned()]);
    let done = command::run_as(&program, limits::USER_STEP, |_| false).await;
    let problem = match done {
        Ok(output) if output.success => return Ok(()),
        Ok(output) => last_line(&output.stderr),
        Err(error) => Chain(&error).to_string(),
    };
    let path = path.display();
    Err(Refusal::StartFailed(format!("cannot free {path}: {problem}; remove what is there")))
}

/// The folder of the app's socket is the user's alone. Its parent is ours, so that nobody can have
/// put a link there.
fn socket_folder(root: &RootConfig, path: &Path) -> Result<(), Refusal> {
    let fail = |error: io::Error| cannot("prepare the folder", path, &error);
    let as_wanted = |found: &fs::Metadata| {
        let lets_in = |group| found.gid() == group && found.mode() & 0o7777 == LETS_IN;
        found.uid() == root.user.uid && root.group.is_none_or(lets_in)
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() && as_wanted(&found) => return Ok(()),
        // Another user had it before. With anything in it, it is not ours to remove.
        Ok(found) if found.is_dir() => fs::remove_dir(path).map_err(|error| {
            Refusal::StartFailed(format!(
                "{} has user {}, group {} and mode {:o}, and cannot be made anew: {error}; remove it",
                path.display(),
                found.uid(),
                found.gid(),
                found.mode() & 0o7777
            ))
        })?,
        Ok(_) => {
            return Err(Refusal::StartFailed(format!(
                "{} is not a folder: remove it",
                path.display()
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    give(root, path).map_err(fail)?;
    match root.group {
        Some(group) => let_in(path, group).map_err(fail),
        None => Ok(()),
    }
}

const LETS_IN: u32 = 0o2710;

/// stationd runs as another user than the app: its group may pass through the folder, and what is
/// made in it belongs to that group. Nobody else sees anything, and the group may not write here.
fn let_in(path: &Path, group: u32) -> io::Result<()> {
    lchown(path, None, Some(group))?;
    // chown(2) clears the set-group-ID bit, so it comes last.
    fs::set_permissions(path, fs::Permissions::from_mode(LETS_IN))
}

/// A new folder in a place where only we may write, given to the user.
fn give(root: &RootConfig, path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    match root.user.account() {
        Some(account) => lchown(path, Some(account.uid), Some(account.gid)),
        None => Ok(()),
    }
}

/// stationd's own workspace, where it is missing. One in a place that others may change is left to
/// the user.
fn own_workspace(root: &RootConfig, path: &Path) -> Result<(), Refusal> {
    if fs::symlink_metadata(path).is_ok() || !path.parent().is_some_and(ours) {
        return Ok(());
    }
    give(root, path).map_err(|error| cannot("make the workspace", path, &error))
}

/// Whether nobody but us may change what we make in the folder, nor put another in its place. In a
/// sticky folder others may make things of their own, and touch nothing of ours.
fn ours(folder: &Path) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    let only_us = |found: &fs::Metadata| {
        let sticky = found.mode() & 0o1000 != 0;
        (found.uid() == own || found.uid() == 0) && (found.mode() & 0o022 == 0 || sticky)
    };
    let mut above = folder.ancestors().skip(1);
    fs::symlink_metadata(folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == own && only_us(&found))
        && above.all(|folder| fs::metadata(folder).is_ok_and(|found| only_us(&found)))
}

/// The user makes their folder and, if it is not stationd's own, the workspace.
async fn user_folder(root: &RootConfig) -> Result<(), Refusal> {
    const SCRIPT: &str = "[ -d \"$1\" ] || mkdir -p -- \"$1\" || exit 1
        cd -- \"$1\" && { [ -z \"$2\" ] || mkdir -p -- \"$2\"; }";
    let folder = root.folder.display();
    let below = root.folder.strip_prefix(&root.workspace).map_err(|_outside| {
        Refusal::StartFailed(format!(
            "the user's folder {folder} is not in the workspace {}: correct instance.user_folder",
            root.workspace.display()
        ))
    })?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let program = root.user.script(SCRIPT, [text(&root.workspace), text(below)]);
    let made = command::run_as(&program, limits::USER_STEP, |_| false).await;
    let problem = match made {
        Ok(output) if output.success => return Ok(()),
        Ok(output) => last_line(&output.stderr),
        Err(error) => Chain(&error).to_string(),
    };
    Err(Refusal::StartFailed(format!(
        "{} cannot use the folder {folder}: {problem}; check the workspace and its rights",
        root.user.name
    )))
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().lines().last().unwrap_or("it said nothing").to_owned()
}
