//! The kernel's table of mounts, `proc_pid_mountinfo(5)`. Reading it asks no file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub id: u64,
    pub parent: u64,
    /// Major and minor number; a FUSE mount has major 0, and its connection the minor's name.
    pub device: (u32, u32),
    pub at: PathBuf,
    /// What is mounted on it shows where it was bound, too.
    pub shared: bool,
    /// `ext4`, `nfs4`, `fuse.rclone`, ….
    pub kind: String,
    /// The device or the share.
    pub source: String,
    /// The file system itself takes no writes.
    pub system_read_only: bool,
    /// This mount of it takes none.
    pub mount_read_only: bool,
}

impl Entry {
    pub fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }
}

/// Every mount that this process can see.
pub fn read() -> io::Result<Vec<Entry>> {
    Ok(parse(&fs::read_to_string("/proc/self/mountinfo")?))
}

/// Lines that are not understood are left out.
pub fn parse(mountinfo: &str) -> Vec<Entry> {
    mountinfo.lines().filter_map(entry).collect()
}

/// The mounts at this very place, the lowest first: the last one is what users see.
pub fn stack<'a>(table: &'a [Entry], at: &Path) -> Vec<&'a Entry> {
    let mut here: Vec<&Entry> = table.iter().filter(|entry| entry.at == at).collect();
    // One that lies on another has it as its parent; the table's own order is that of mounting, which
    // a mount that was put beneath another does not keep.
    let depth = |entry: &Entry| {
        let mut parent = entry.parent;
        let mut depth = 0;
        while let Some(below) = table.iter().find(|one| one.id == parent && one.at == at) {
            (parent, depth) = (below.parent, depth + 1);
            if depth > table.len() {
                break;
            }
        }
        depth
    };
    here.sort_by_key(|entry| depth(entry));
    here
}

/// The mount that holds `path`: the deepest, and of several at one place the last.
pub fn holder<'a>(table: &'a [Entry], path: &Path) -> Option<&'a Entry> {
    let holds = |entry: &&Entry| path.starts_with(&entry.at);
    table.iter().filter(holds).max_by_key(|entry| entry.at.components().count())
}

/// `36 35 98:0 /root /at rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
fn entry(line: &str) -> Option<Entry> {
    let (mount, system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (major, minor) = fields.next()?.split_once(':')?;
    let (at, options) = (fields.nth(1)?, fields.next()?);
    let mut system = system.split(' ');
    let (kind, source) = (system.next()?, system.next()?);
    let own_options = system.next().unwrap_or_default();
    let ro = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Entry {
        id,
        parent,
        device: (major.parse().ok()?, minor.parse().ok()?),
        at: PathBuf::from(unescaped(at)),
        shared: fields.any(|field| field.starts_with("shared:")),
        kind: kind.to_owned(),
        source: unescaped(source),
        system_read_only: ro(own_options),
        mount_read_only: ro(options),
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

    const STACKED: &str = "\
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard
90 28 0:50 / /mnt/my\\040share rw,relatime shared:7 - fuse.rclone az:work rw
91 90 0:51 / /mnt/my\\040share ro,relatime shared:8 - fuse.rclone az:work rw
";

    #[test]
    fn the_topmost_of_a_stack_is_last_whatever_the_order_of_the_lines() {
        let at = Path::new("/mnt/my share");
        let devices = |text: &str| {
            stack(&parse(text), at).iter().map(|entry| entry.device.1).collect::<Vec<_>>()
        };
        assert_eq!(devices(STACKED), [50, 51]);
        let mut lines: Vec<&str> = STACKED.lines().collect();
        lines.swap(1, 2);
        assert_eq!(devices(&lines.join("\n")), [50, 51]);
        assert!(stack(&parse(STACKED), Path::new("/mnt")).is_empty());
    }

    #[test]
    fn an_entry_says_what_it_is() {
        let table = parse(STACKED);
        assert_eq!(holder(&table, Path::new("/mnt")).unwrap().id, 28);
        let top = holder(&table, Path::new("/mnt/my share/x")).unwrap();
        assert!(top.is_fuse() && top.shared && top.mount_read_only && !top.system_read_only);
        let private = parse("1 0 8:1 / / rw - ext4 /dev/sda1 rw");
        assert!(!private.first().unwrap().shared && !private.first().unwrap().is_fuse());
        assert_eq!(parse("1 2 3\nx - y\n - - -\n\\"), []);
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescaped("a\\040b\\134c"), "a b\\c");
        assert_eq!(unescaped("a\\x\\0"), "a\\x\\0");
    }
}
