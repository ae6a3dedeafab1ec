//! Root for the assigned user by sudo, as `instance.root_access` says: one file in sudoers.d.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::{Refusal, RootConfig};
use crate::base::chain::Chain;
use crate::base::limits;
use crate::os::command::{self, Program};
use crate::os::file;

const FOLDER: &str = "/etc/sudoers.d";
/// sudo reads no file whose name has a dot: the new one is checked before it counts.
const FILE: &str = "/etc/sudoers.d/stationd";
const NEW: &str = "/etc/sudoers.d/stationd.new";
/// How a file of ours begins; scripts/lib/maintain.sh knows it too.
const MARK: &str = "# Made by stationd";
const VISUDO: &str = "/usr/sbin/visudo";

/// Writes or removes the file. What `visudo` does not accept never gets its name.
pub(super) async fn set(root: &RootConfig) -> Result<(), Refusal> {
    let known = fs::read_to_string(FILE).ok();
    if known.as_ref().is_some_and(|known| !known.starts_with(MARK)) {
        // Somebody else's rule stays; without a wish of ours there is nothing to say about it.
        let why = format!("{FILE} was made by somebody else: rename or remove it");
        return if root.root_access { Err(Refusal::RootAccess(why)) } else { Ok(()) };
    }
    if !root.root_access {
        return remove(Path::new(FILE));
    }
    if !Path::new(VISUDO).exists() || !Path::new(FOLDER).is_dir() {
        return Err(Refusal::RootAccess("sudo is not installed: install the package sudo".into()));
    }
    let text = sudoers(root.user.uid);
    if known.as_ref() == Some(&text) {
        return Ok(());
    }
    file::write_atomic(Path::new(NEW), text.as_bytes(), 0o440)
        .map_err(|error| Refusal::RootAccess(Chain(&error).to_string()))?;
    let checked = command::run_as(&visudo(), limits::USER_STEP, |_| false).await;
    let problem = match checked {
        Ok(output) if output.success => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(Chain(&error).to_string()),
    };
    if let Some(problem) = problem {
        remove(Path::new(NEW))?;
        return Err(Refusal::RootAccess(format!("visudo refuses the rule: {problem}")));
    }
    fs::rename(NEW, FILE).map_err(|error| cannot("write", Path::new(FILE), &error))
}

/// The user by number: a name could be read as something else, see sudoers(5).
fn sudoers(uid: u32) -> String {
    format!(
        "{MARK} from instance.root_access; changes here are lost.\n\
         #{uid} ALL=(ALL:ALL) NOPASSWD: ALL\n"
    )
}

fn visudo() -> Program {
    Program {
        program: VISUDO.into(),
        arguments: ["--check", "--quiet", "--file", NEW].map(str::to_owned).to_vec(),
        environment: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        folder: "/".into(),
        account: None,
    }
}

fn remove(path: &Path) -> Result<(), Refusal> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(cannot("remove", path, &error))
        }
        _ => Ok(()),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Refusal {
    Refusal::RootAccess(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_for_one_user() {
        let text = sudoers(1000);
        assert_eq!(text.lines().nth(1), Some("#1000 ALL=(ALL:ALL) NOPASSWD: ALL"));
    }
}
