//! Pure: what a line of the kernel's log is about. The list is closed: nothing else of the log leaves
//! the probe, because the log tells more than stationd needs to know.

use serde::{Deserialize, Serialize};

/// What may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// What NVIDIA's driver writes.
    Gpu,
    /// A process that the kernel killed because memory ran out.
    OutOfMemory,
    /// A file system or a disk that fails.
    FileSystem,
}

/// The topic of a line, if it has one.
pub(super) fn of(text: &str) -> Option<Topic> {
    if text.starts_with("NVRM: ") || text.starts_with("nvidia-nvswitch") {
        Some(Topic::Gpu)
    } else if is_out_of_memory(text) {
        Some(Topic::OutOfMemory)
    } else if is_file_system(text) {
        Some(Topic::FileSystem)
    } else {
        None
    }
}

/// The two lines that a kill leaves (`mm/oom_kill.c`): which control group, and who.
fn is_out_of_memory(text: &str) -> bool {
    let killed = ["Out of memory", "Memory cgroup out of memory", "Killed process "];
    text.starts_with("oom-kill:")
        || (killed.iter().any(|start| text.starts_with(start)) && text.contains("Killed process "))
}

fn is_file_system(text: &str) -> bool {
    const ANY: [&str; 7] = [
        "EXT4-fs error (device ",
        "EXT3-fs error (device ",
        "EXT2-fs error (device ",
        "BTRFS error (device ",
        "BTRFS critical (device ",
        "BTRFS: error (device ",
        "Buffer I/O error on dev",
    ];
    let disk = text.strip_prefix("blk_update_request: ").unwrap_or(text);
    ANY.iter().any(|start| text.starts_with(start))
        || disk.starts_with("I/O error, dev ")
        || disk.starts_with("critical medium error, dev ")
        || (text.starts_with("EXT4-fs (") && text.contains("Remounting filesystem read-only"))
        || (text.starts_with("BTRFS info (device ") && text.contains("forced readonly"))
        || (text.starts_with("XFS (") && is_xfs_error(text))
}

fn is_xfs_error(text: &str) -> bool {
    const SIGNS: [&str; 5] =
        ["orruption", "I/O error", "I/O Error", "nternal error", "has been shut down"];
    SIGNS.iter().any(|sign| text.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_topics_are_told_from_everything_else() {
        let table = [
            ("NVRM: Xid (PCI:0000:00:06): 31", Some(Topic::Gpu)),
            ("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028", Some(Topic::Gpu)),
            ("oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null)", Some(Topic::OutOfMemory)),
            ("Out of memory: Killed process 7 (x) total-vm:1kB", Some(Topic::OutOfMemory)),
            ("Memory cgroup out of memory: Killed process 7 (x)", Some(Topic::OutOfMemory)),
            ("Killed process 7 (x) total-vm:1kB, anon-rss:1kB", Some(Topic::OutOfMemory)),
            ("Out of memory and no killable processes...", None),
            ("EXT4-fs error (device sda1): ext4_lookup:1785: x", Some(Topic::FileSystem)),
            ("EXT4-fs (sda1): Remounting filesystem read-only", Some(Topic::FileSystem)),
            ("EXT4-fs (sda1): mounted filesystem with ordered data mode", None),
            ("XFS (dm-0): Metadata corruption detected at x", Some(Topic::FileSystem)),
            ("XFS (dm-0): Ending clean mount", None),
            ("BTRFS: error (device sda state EA) in x: errno=-5", Some(Topic::FileSystem)),
            ("BTRFS info (device sda): using free space tree", None),
            ("blk_update_request: I/O error, dev sda, sector 1", Some(Topic::FileSystem)),
            ("I/O error, dev nvme0n1, sector 1 op 0x0:(READ)", Some(Topic::FileSystem)),
            ("Buffer I/O error on dev sda1, logical block 0", Some(Topic::FileSystem)),
            ("audit: type=1400 apparmor=DENIED name=/home/ada/NVRM: x", None),
            ("python3[7]: segfault at 0 ip 0 sp 0 error 4", None),
            ("process said: oom-kill:constraint", None),
            ("", None),
        ];
        for (text, topic) in table {
            assert_eq!(of(text), topic, "{text}");
        }
    }
}
