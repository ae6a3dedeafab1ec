//! The control group that systemd has put this process into: everything that was started from here,
//! however it has set itself apart since. See cgroups(7).

use std::fs;
use std::path::{Path, PathBuf};

/// The other processes of this one's unit; none if it runs in no unit of that name, so that nobody
/// takes a whole session for one.
pub fn others_of_unit(unit: &str) -> Vec<i32> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(folder) = folder(&text, unit) else { return Vec::new() };
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let own = nix::unistd::getpid().as_raw();
    listed.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != own).collect()
}

/// systemd's own hierarchy (version 1), or the only one (version 2).
fn folder(text: &str, unit: &str) -> Option<PathBuf> {
    let of = |start: &str, at: &str| {
        let path = text.lines().find_map(|line| line.split_once(start).map(|(_, path)| path))?;
        Some(Path::new(at).join(path.trim_start_matches('/')))
    };
    let first = of(":name=systemd:", "/sys/fs/cgroup/systemd");
    first.or_else(|| of("0::", "/sys/fs/cgroup")).filter(|folder| folder.ends_with(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_unit_and_of_no_other() {
        let unit = "x.service";
        let second = "0::/a.slice/x.service\n";
        assert_eq!(folder(second, unit), Some("/sys/fs/cgroup/a.slice/x.service".into()));
        let first = "4:memory:/\n1:name=systemd:/x.service\n0::/x.service\n";
        assert_eq!(folder(first, unit), Some("/sys/fs/cgroup/systemd/x.service".into()));
        assert_eq!(folder("0::/user.slice/session.scope\n", unit), None);
        assert_eq!(folder("", unit), None);
        assert!(others_of_unit("no-such.service").is_empty());
    }
}
