//! Pure: which mount holds a path, and whether it may be written to; from `proc_pid_mountinfo(5)`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::os::machine::mount::table;

/// A mount that holds a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    pub at: PathBuf,
    /// `ext4`, `nfs4`, `fuse.blobfuse2`, ….
    pub kind: String,
    /// The device or the share.
    pub source: String,
    /// The file system itself takes no writes, as after an error, or this mount of it does not.
    pub read_only: bool,
}

impl Mounted {
    /// Its bytes are on a disk of this machine.
    pub fn is_local(&self) -> bool {
        const REMOTE: [&str; 10] =
            ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "lustre", "glusterfs", "afs"];
        !REMOTE.contains(&self.kind.as_str()) && !self.kind.starts_with("fuse")
    }
}

/// Of several mounts that hold `path` the deepest, of several at one place the last: it covers the
/// others. `whole` says whether the options of the mount count, beside those of the file system: in
/// a sandbox that makes everything read-only they say nothing of the machine.
pub(super) fn of(mountinfo: &str, path: &Path, whole: bool) -> Option<Mounted> {
    let all = table::parse(mountinfo);
    let entry = table::holder(&all, path)?.clone();
    Some(Mounted {
        at: entry.at,
        kind: entry.kind,
        source: entry.source,
        read_only: entry.system_read_only || (whole && entry.mount_read_only),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard,errors=remount-ro
31 28 8:15 / /boot/efi rw,relatime shared:30 - vfat /dev/sda15 rw,fmask=0077
90 28 8:17 / /mnt/my\\040disk ro,relatime shared:50 - xfs /dev/sdb1 rw,attr2
91 28 8:17 / /mnt/my\\040disk rw,relatime shared:50 - xfs /dev/sdb1 rw,attr2
95 28 0:60 / /mnt/share rw - nfs4 10.0.0.4:/export rw,vers=4.2
96 28 0:61 / /mnt/blob rw - fuse.blobfuse2 blobfuse2 rw
";

    #[test]
    fn the_deepest_and_the_last_mount_holds_a_path() {
        let at = |path: &str| of(MACHINE, Path::new(path), true).unwrap();
        assert_eq!(at("/var/lib").source, "/dev/sda1");
        assert_eq!(at("/mnt/my disk/x").source, "/dev/sdb1");
        assert!(!at("/mnt/my disk").read_only);
        assert_eq!(at("/mnt/my").at, Path::new("/"));
        assert!(at("/").is_local() && !at("/mnt/share/a").is_local());
        assert!(!at("/mnt/blob").is_local());
        assert_eq!(of("", Path::new("/"), true), None);
        assert_eq!(of("1 2 3\nx - y\n - - -\n\\", Path::new("/"), true), None);
    }

    #[test]
    fn a_file_system_and_a_mount_of_it_may_be_read_only() {
        let root = |options: &str, own: &str| {
            let line = format!("28 1 8:1 / / {options} shared:1 - ext4 /dev/sda1 {own}");
            let of = |whole| of(&line, Path::new("/home"), whole).unwrap().read_only;
            (of(true), of(false))
        };
        assert_eq!(root("rw,relatime", "rw,errors=remount-ro"), (false, false));
        assert_eq!(root("rw,relatime", "ro,errors=remount-ro"), (true, true));
        assert_eq!(root("ro,relatime", "rw"), (true, false));
    }
}
