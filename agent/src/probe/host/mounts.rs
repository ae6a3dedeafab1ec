//! Pure: which mount holds a path, and whether it may be written to; from `proc_pid_mountinfo(5)`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    let holds = |one: &Mounted| path.starts_with(&one.at);
    let all = mountinfo.lines().filter_map(|line| parse(line, whole)).filter(holds);
    all.max_by_key(|one| one.at.components().count())
}

/// `36 35 98:0 /root /at rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
fn parse(line: &str, whole: bool) -> Option<Mounted> {
    let (mount, system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(4);
    let (at, options) = (fields.next()?, fields.next()?);
    let mut system = system.split(' ');
    let (kind, source) = (system.next()?, system.next()?);
    let own_options = system.next().unwrap_or_default();
    let ro = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mounted {
        at: PathBuf::from(unescaped(at)),
        kind: kind.to_owned(),
        source: unescaped(source),
        read_only: ro(own_options) || (whole && ro(options)),
    })
}

/// The kernel writes a space, a tab, a newline and a backslash as three octal digits.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let plain = if digits.is_some() { part.get(3..).unwrap_or_default() } else { part };
        out.push(digits.unwrap_or(b'\\'));
        out.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
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

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescaped("a\\040b\\134c"), "a b\\c");
        assert_eq!(unescaped("a\\x\\0"), "a\\x\\0");
    }
}
