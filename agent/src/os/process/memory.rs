//! What the kernel says of the memory of this process's control group. See cgroups(7): version 2,
//! or the memory controller of version 1.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The memory of a control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The group's path in its hierarchy.
    pub group: String,
    pub used_bytes: u64,
    /// Absent: as much as the machine has.
    #[serde(default)]
    pub limit_bytes: Option<u64>,
    /// Processes that the kernel has killed here for want of memory.
    pub killed: u64,
}

/// Above this a limit of version 1 stands for none.
const NO_LIMIT: u64 = 1 << 60;

/// That of our own group; `None` where the kernel does not tell.
pub fn own() -> Option<Memory> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    // Where both are mounted, the one with the memory controller tells.
    places(&text).into_iter().find_map(|(group, folder)| read(group, &folder))
}

/// Where the group may have its memory files, by what `/proc/PID/cgroup` says.
fn places(text: &str) -> Vec<(&str, PathBuf)> {
    let of = |at: &str, group: &str| Path::new(at).join(group.trim_start_matches('/'));
    let mut found = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            found.push((group, of("/sys/fs/cgroup", group)));
            found.push((group, of("/sys/fs/cgroup/unified", group)));
        } else if controllers.split(',').any(|controller| controller == "memory") {
            found.push((group, of("/sys/fs/cgroup/memory", group)));
        }
    }
    found
}

fn read(group: &str, folder: &Path) -> Option<Memory> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    let counted = |name: &str| {
        let text = text(name)?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    };
    let (used, limit, killed) = if let Some(used) = number("memory.current") {
        (used, number("memory.max"), counted("memory.events"))
    } else {
        let limit = number("memory.limit_in_bytes").filter(|limit| *limit < NO_LIMIT);
        (number("memory.usage_in_bytes")?, limit, counted("memory.oom_control"))
    };
    let group = group.to_owned();
    Some(Memory { group, used_bytes: used, limit_bytes: limit, killed: killed.unwrap_or_default() })
}

/// Makes a group below our own that may have so much memory, or sets the limit of one that is there.
pub fn make_group(name: &str, limit_bytes: u64) -> io::Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for (_, own) in places(&text) {
        match make_in(&own, name, limit_bytes) {
            Ok(group) => return Ok(group),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn make_in(own: &Path, name: &str, limit_bytes: u64) -> io::Result<PathBuf> {
    let group = own.join(name);
    let first = own.join("memory.limit_in_bytes").exists();
    if !first {
        // Refused where the group has processes of its own and is not the root: version 2's rule.
        set(&own.join("cgroup.subtree_control"), "+memory")?;
    }
    fs::create_dir_all(&group)?;
    // Swap is no memory to compute in; where the kernel does not count it there is no such file. Of two
    // limits of version 1 this one must not be the smaller at any moment.
    let swap = if first { "memory.memsw.limit_in_bytes" } else { "memory.swap.max" };
    let most = if first { limit_bytes } else { 0 };
    let swap = || drop(set(&group.join(swap), &most.to_string()));
    swap();
    let file = if first { "memory.limit_in_bytes" } else { "memory.max" };
    set(&group.join(file), &limit_bytes.to_string())?;
    swap();
    Ok(group)
}

/// Moves this process into a group; what it starts from now on is there too.
pub fn enter(group: &Path) -> io::Result<()> {
    set(&group.join("cgroup.procs"), "0")
}

/// A file of the kernel's: one write is one order.
fn set(file: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            crate::os::file::write_atomic(&folder.path().join(name), text.as_bytes(), 0o600)
                .unwrap();
        };
        write("memory.usage_in_bytes", "4096\n");
        write("memory.limit_in_bytes", "9223372036854771712\n");
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        let first = Memory { group: "/a".into(), used_bytes: 4096, limit_bytes: None, killed: 2 };
        assert_eq!(read("/a", folder.path()), Some(first.clone()));
        write("memory.current", "8192\n");
        write("memory.max", "1048576\n");
        write("memory.events", "low 0\noom 1\noom_kill 1\noom_group_kill 0\n");
        let limit_bytes = Some(1 << 20);
        let second = Memory { used_bytes: 8192, limit_bytes, killed: 1, ..first };
        assert_eq!(read("/a", folder.path()), Some(second));
        write("memory.max", "max\n");
        assert_eq!(read("/a", folder.path()).unwrap().limit_bytes, None);
    }

    #[test]
    fn the_group_is_found_in_every_layout() {
        let hybrid = "5:cpu:/x\n4:memory:/a/b\n1:name=systemd:/c\n0::/c\n";
        let found: Vec<_> = places(hybrid).into_iter().map(|(_, path)| path).collect();
        let expected =
            ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/c", "/sys/fs/cgroup/unified/c"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(places("0::/\n").len(), 2);
        assert!(places("garbage\n\n").is_empty());
    }

    #[test]
    fn a_limit_can_be_raised_and_lowered() {
        let name = format!("stationd-test-{}", std::process::id());
        let made = make_group(&name, 64 << 20);
        let Ok(group) = made else {
            // As a user without rights, and in most containers.
            println!("SKIPPED: no control group with a memory limit can be made here: {made:?}");
            return;
        };
        for limit in [256_u64 << 20, 128 << 20] {
            assert_eq!(make_group(&name, limit).unwrap(), group);
            assert_eq!(read("/", &group).unwrap().limit_bytes, Some(limit));
        }
        fs::remove_dir(&group).unwrap();
    }
}
