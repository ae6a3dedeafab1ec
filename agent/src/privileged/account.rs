//! The account that apps run under.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User};
use serde::{Deserialize, Serialize};

use crate::os::command::{Account, Program};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitUser {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Every group of theirs.
    pub groups: Vec<u32>,
    pub home: PathBuf,
    pub shell: PathBuf,
}

/// There is no such user.
#[derive(Debug, thiserror::Error)]
#[error("there is no user {0} on this machine: create it, or set instance.local_user")]
pub struct NoUser(String);

impl UnitUser {
    /// The user with this name.
    pub fn named(name: &str) -> Result<Self, NoUser> {
        let user = User::from_name(name).ok().flatten();
        user.map(Self::from).ok_or_else(|| NoUser(name.to_owned()))
    }

    /// Who we are; an id without an entry still gets a home, from the environment.
    pub fn own() -> Self {
        let uid = nix::unistd::geteuid();
        User::from_uid(uid).ok().flatten().map_or_else(
            || Self {
                name: uid.to_string(),
                uid: uid.as_raw(),
                gid: nix::unistd::getegid().as_raw(),
                groups: Vec::new(),
                home: std::env::var_os("HOME").map_or_else(|| "/tmp".into(), PathBuf::from),
                shell: "/bin/sh".into(),
            },
            Self::from,
        )
    }

    /// What a program must be started with; `None` if that is who we are.
    pub(super) fn account(&self) -> Option<Account> {
        let own = nix::unistd::geteuid() == Uid::from_raw(self.uid);
        (!own).then(|| Account { uid: self.uid, gid: self.gid, groups: self.groups.clone() })
    }

    /// A shell script of ours that runs as this user; it gets the arguments as `$1` and so on.
    pub(super) fn script(
        &self,
        script: &str,
        arguments: impl IntoIterator<Item = String>,
    ) -> Program {
        let own = ["-c", script, "sh"].map(str::to_owned);
        Program {
            program: PathBuf::from("/bin/sh"),
            arguments: own.into_iter().chain(arguments).collect(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            folder: PathBuf::from("/"),
            account: self.account(),
        }
    }
}

impl From<User> for UnitUser {
    fn from(user: User) -> Self {
        let groups = std::ffi::CString::new(user.name.as_str())
            .ok()
            .and_then(|name| nix::unistd::getgrouplist(&name, user.gid).ok());
        Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.unwrap_or_else(|| vec![user.gid]).into_iter().map(Gid::as_raw).collect(),
            home: user.dir,
            shell: user.shell,
            name: user.name,
        }
    }
}
