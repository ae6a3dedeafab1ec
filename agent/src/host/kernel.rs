//! Pure: what lines of the kernel's log say of processes that were killed for their memory, and of
//! disks that fail.

/// A process that the kernel killed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Victim {
    pub pid: i32,
    pub name: String,
    /// What it held, without what was swapped out.
    pub resident_mib: Option<u64>,
    /// The limit of a control group was reached, not that of the machine.
    pub by_limit: bool,
}

/// A line about a kill: first comes one that names the control group, then one that names the
/// process (`mm/oom_kill.c`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kill {
    Group { pid: i32, group: String },
    Killed(Victim),
}

/// The longest name that a message shows.
const NAME: usize = 64;

pub(super) fn kill(text: &str) -> Option<Kill> {
    if let Some(fields) = text.strip_prefix("oom-kill:") {
        return group(fields);
    }
    let (before, rest) = text.split_once("Killed process ")?;
    let (pid, rest) = rest.split_once(' ')?;
    // The name may hold anything, a bracket too; what follows it may not.
    let end =
        rest.rfind(") total-vm:").or_else(|| rest.rfind("), UID")).or_else(|| rest.rfind(')'))?;
    let name = rest.get(..end)?.strip_prefix('(')?;
    let parts = ["anon-rss:", "file-rss:", "shmem-rss:"];
    let sizes: Vec<u64> = parts.iter().filter_map(|part| kib(rest.get(end..)?, part)).collect();
    Some(Kill::Killed(Victim {
        pid: pid.trim_end_matches(',').parse().ok()?,
        name: shown(name),
        resident_mib: (!sizes.is_empty()).then(|| sizes.iter().sum::<u64>() / 1024),
        by_limit: before.contains("cgroup"),
    }))
}

/// `constraint=CONSTRAINT_MEMCG,…,oom_memcg=/a,task_memcg=/a/b,task=python3,pid=123,uid=1000`
fn group(fields: &str) -> Option<Kill> {
    let group = fields.split_once("task_memcg=")?.1;
    // The name of the process comes next and may hold a comma.
    let group = group.split_once(",task=").map_or(group, |(group, _)| group);
    let (_, pid) = fields.rsplit_once(",pid=")?;
    let pid = pid.split(',').next()?.parse().ok()?;
    Some(Kill::Group { pid, group: shown(group) })
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let (_, rest) = text.split_once(key)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(NAME * 2).collect()
}

/// Where a control group is, for people: the app, the unit or the container.
pub(super) fn place(group: &str) -> Option<String> {
    let last = group
        .rsplit('/')
        .find(|part| [".service", ".scope", ".slice"].iter().any(|end| part.ends_with(end)));
    let unit = last.or_else(|| group.rsplit('/').find(|part| !part.is_empty()))?;
    let app = unit.strip_prefix("stationd-app-").and_then(|rest| rest.strip_suffix(".service"));
    Some(app.map_or_else(|| unit.to_owned(), |app| format!("app {app}")))
}

/// An error of a file system or of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiskError {
    /// `sda1`, `dm-0`; `a disk` if the line does not say.
    pub device: String,
    pub message: String,
}

/// Drives that fail whenever nothing is in them.
const REMOVABLE: [&str; 2] = ["fd", "sr"];

pub(super) fn disk_error(text: &str) -> Option<DiskError> {
    const BEFORE: [&str; 3] = ["(device ", ", dev ", "error on dev "];
    let named = |before: &str| Some(text.split_once(before)?.1);
    let of_file_system = || text.strip_prefix("EXT4-fs (").or_else(|| text.strip_prefix("XFS ("));
    let rest = BEFORE.into_iter().find_map(named).or_else(of_file_system);
    let device: String = rest
        .unwrap_or_default()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_/!".contains(*c))
        .take(NAME)
        .collect();
    let drive = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if REMOVABLE.contains(&drive) {
        return None;
    }
    let device = if device.is_empty() { "a disk".to_owned() } else { device };
    Some(DiskError { device, message: shown(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_of_several_kernels_are_read() {
        let victim = |pid, name: &str, mib, by_limit| {
            Some(Kill::Killed(Victim { pid, name: name.into(), resident_mib: mib, by_limit }))
        };
        let table = [
            (
                "Out of memory: Killed process 4242 (python3) total-vm:9000000kB, \
                 anon-rss:8388608kB, file-rss:1024kB, shmem-rss:0kB, UID:1000 pgtables:17000kB \
                 oom_score_adj:0",
                victim(4242, "python3", Some(8193), false),
            ),
            (
                "Memory cgroup out of memory: Killed process 7 (R (main) x) total-vm:1kB, \
                 anon-rss:2048kB, file-rss:0kB, shmem-rss:0kB, UID:0",
                victim(7, "R (main) x", Some(2), true),
            ),
            // Before 4.20, and without sizes.
            (
                "Killed process 99 (java) total-vm:1kB, anon-rss:1024kB, file-rss:0kB",
                victim(99, "java", Some(1), false),
            ),
            ("Killed process 99, UID 0, (java) total-vm:1kB", None),
            ("Out of memory: Killed process x (java)", None),
            ("Killed process 5 (a\u{7}b)", victim(5, "a?b", None, false)),
            ("Killed process", None),
        ];
        for (text, expected) in table {
            assert_eq!(kill(text), expected, "{text}");
        }
    }

    #[test]
    fn the_control_group_is_named_as_people_know_it() {
        let line = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                    oom_memcg=/stationd.slice/stationd-apps.slice/stationd-app-jupyterlab.service,\
                    task_memcg=/stationd.slice/stationd-apps.slice/stationd-app-jupyterlab.service,\
                    task=a,pid=1,pid=4242,uid=1000";
        let Some(Kill::Group { pid, group }) = kill(line) else { panic!("{line}") };
        assert_eq!((pid, place(&group).as_deref()), (4242, Some("app jupyterlab")));
        let table = [
            ("/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope")),
            ("/system.slice/docker-0123.scope", Some("docker-0123.scope")),
            ("/docker/0123abc", Some("0123abc")),
            ("/", None),
        ];
        for (group, expected) in table {
            assert_eq!(place(group).as_deref(), expected, "{group}");
        }
        assert_eq!(kill("oom-kill:constraint=x"), None);
    }

    #[test]
    fn errors_name_their_disk() {
        let table = [
            ("EXT4-fs error (device sda1): ext4_lookup:1785: inode #2: comm ls", Some("sda1")),
            ("EXT4-fs (nvme0n1p2): Remounting filesystem read-only", Some("nvme0n1p2")),
            ("XFS (dm-0): Metadata corruption detected at xfs_agf", Some("dm-0")),
            ("BTRFS: error (device sdb state EA) in x:1: errno=-5 IO failure", Some("sdb")),
            ("I/O error, dev sdc, sector 2048 op 0x0:(READ) flags 0x0", Some("sdc")),
            ("blk_update_request: I/O error, dev vda, sector 1", Some("vda")),
            ("Buffer I/O error on dev sda1, logical block 0, lost async page write", Some("sda1")),
            ("Buffer I/O error on device sda", Some("a disk")),
            ("I/O error, dev sr0, sector 0", None),
            ("blk_update_request: I/O error, dev fd0, sector 0", None),
        ];
        for (text, device) in table {
            assert_eq!(disk_error(text).map(|one| one.device).as_deref(), device, "{text}");
        }
    }
}
