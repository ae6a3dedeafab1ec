//! The disk of a machine: this machine's own `/`, with everything that is written kept in memory.
//!
//! The mounts are made in a mount namespace of the calling thread, so that nobody else sees them and
//! nothing is left of them when the thread ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use stationd::os::file::write_atomic;
use tempfile::TempDir;

use crate::jupyter;

const NOTHING: Option<&str> = None;

#[derive(Debug)]
pub(super) struct Disk {
    /// Removed last.
    place: TempDir,
}

impl Disk {
    pub(super) fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace")?;
        mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
            .context("private mounts")?;
        let place = tempfile::Builder::new().prefix("machine").rand_bytes(5).tempdir_in("/tmp")?;
        // An overlay cannot write to a folder that lies in what it covers; memory does not.
        let flags = MsFlags::empty();
        mount(Some("tmpfs"), place.path(), Some("tmpfs"), flags, Some("mode=755"))
            .context("memory for the disk")?;
        let disk = Self { place };
        let (upper, work) = (disk.place.path().join("upper"), disk.place.path().join("work"));
        for folder in [&upper, &work, &disk.root()] {
            fs::create_dir(folder)?;
        }
        let layers = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
        mount(Some("overlay"), &disk.root(), Some("overlay"), flags, Some(layers.as_str()))
            .context("an overlay on /")?;
        disk.prepare()?;
        Ok(disk)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    /// The machine's name: that of its folder.
    pub(super) fn name(&self) -> &str {
        self.place.path().file_name().and_then(|name| name.to_str()).unwrap_or("machine")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.place.path().join("console.log")
    }

    /// The end of what came on the console, for messages.
    pub(super) fn said(&self) -> String {
        let text = fs::read_to_string(self.console()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// A machine that starts what the distribution starts, and nothing that was set up here.
    fn prepare(&self) -> Result<()> {
        let etc = self.root().join("etc");
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
        write_atomic(&etc.join("machine-id"), id.as_bytes(), 0o444)?;
        let units = etc.join("systemd/system");
        for entry in fs::read_dir(&units)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "wants" || end == "requires") {
                fs::remove_dir_all(path)?;
            }
        }
        replace(&units.join("default.target"), "/usr/lib/systemd/system/multi-user.target")?;
        // What only the files in /etc/init.d name.
        fs::create_dir_all(etc.join("systemd/system-generators"))?;
        replace(&etc.join("systemd/system-generators/systemd-sysv-generator"), "/dev/null")?;
        // Images of containers forbid their packages to start anything.
        drop(fs::remove_file(self.root().join("usr/sbin/policy-rc.d")));
        // An index of manual pages after each package takes longer than the package.
        drop(fs::remove_file(self.root().join("var/lib/man-db/auto-update")));
        for path in jupyter_folders() {
            self.open_the_way_to(&path)?;
        }
        Ok(())
    }

    /// JupyterLab may lie in somebody's private folder here; inside another user starts it.
    fn open_the_way_to(&self, path: &Path) -> Result<()> {
        for folder in path.ancestors().skip(1) {
            let inside = self.root().join(folder.strip_prefix("/").unwrap_or(folder));
            let Ok(about) = fs::metadata(&inside) else { continue };
            let mode = about.permissions().mode() & 0o7777;
            if mode & 0o001 == 0 {
                fs::set_permissions(&inside, fs::Permissions::from_mode(mode | 0o011))?;
            }
        }
        Ok(())
    }
}

/// The environment of the real JupyterLab and the Python that it was made of. The overlay does not
/// show them where they lie on another file system, or in a folder that each machine has of its own.
pub(super) fn jupyter_folders() -> Vec<PathBuf> {
    let Some(program) = jupyter::lab().and_then(|path| path.canonicalize().ok()) else {
        return Vec::new();
    };
    let Some(environment) = program.ancestors().nth(2) else { return Vec::new() };
    let python = environment.join("bin/python").canonicalize().ok();
    let base = python.as_deref().and_then(|python| python.ancestors().nth(2));
    let base = base.filter(|base| *base != Path::new("/usr"));
    [Some(environment), base].into_iter().flatten().map(Path::to_path_buf).collect()
}

fn replace(link: &Path, target: &str) -> std::io::Result<()> {
    drop(fs::remove_file(link));
    symlink(target, link)
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The folder below them can then be removed; the rest goes with the thread.
        umount2(&self.root(), MntFlags::MNT_DETACH).unwrap_or_default();
        umount2(self.place.path(), MntFlags::MNT_DETACH).unwrap_or_default();
    }
}
