//! A place for one machine in each control-group hierarchy that systemd uses.
//!
//! systemd-nspawn makes its groups below the caller's. Two machines of one caller would share them,
//! and a unit that is stopped in one would end the processes of the other.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::process;

/// systemd's own hierarchy beside version 1, the second one of the hybrid, and version 2 alone.
const HIERARCHIES: [&str; 3] =
    ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// Folders that are removed again.
#[derive(Debug)]
pub(super) struct Cgroups {
    folders: Vec<PathBuf>,
}

impl Cgroups {
    pub(super) fn new(name: &str) -> std::io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        // `9:name=systemd:/a` and `0::/a`
        let place = |marks: &[&str]| {
            let line = own.lines().find(|line| marks.iter().any(|mark| line.contains(mark)));
            line.and_then(|line| line.rsplit(':').next()).unwrap_or("/").trim_matches('/')
        };
        let mut folders = Vec::new();
        for hierarchy in HIERARCHIES {
            // Version 1 keeps its controllers in folders, where nothing is to be done.
            if !Path::new(hierarchy).join("cgroup.procs").exists() {
                continue;
            }
            let marks: &[&str] =
                if hierarchy.ends_with("systemd") { &["name=systemd"] } else { &["0::"] };
            let folder = Path::new(hierarchy).join(place(marks)).join(name);
            fs::create_dir_all(&folder)?;
            folders.push(folder);
        }
        Ok(Self { folders })
    }

    /// A program that starts in these groups, and gets SIGTERM when the thread that starts it ends.
    /// (SIGKILL would end systemd-nspawn and leave what it holds.)
    pub(super) fn starting(&self, program: &str) -> Command {
        let mut command = process::command(Path::new("setpriv"));
        command.args(["--pdeathsig", "TERM", "/bin/sh", "-c"]);
        let lines: Vec<String> = self
            .folders
            .iter()
            .map(|folder| format!("echo $$ >'{}/cgroup.procs' && ", folder.display()))
            .collect();
        command.arg(format!("{}exec \"$0\" \"$@\"", lines.concat())).arg(program);
        command
    }

    /// Takes the folders away, the inner ones first, as soon as nobody is in them.
    pub(super) fn remove(&self) {
        for _ in 0..100 {
            self.folders.iter().for_each(|folder| remove_tree(folder));
            if self.folders.iter().all(|folder| !folder.exists()) {
                return;
            }
            process::pause(std::time::Duration::from_millis(20));
        }
    }
}

/// `rmdir` from the inside out: the files in them are the kernel's.
fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // Not empty yet: it is tried again.
    drop(fs::remove_dir(folder));
}
