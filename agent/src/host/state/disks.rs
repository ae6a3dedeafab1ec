//! The disks that matter: their space, whether they take writes, and which are nearly full. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::probe::host::walk::{self, By, Walked, named};
use crate::probe::host::{Disk, Mounted, Space};

/// Between two walks of one disk.
const WALK: Duration = Duration::from_secs(600);
const GIB: u64 = 1 << 30;

/// Marks, in percent of what there is, or in bytes: below the first it is set, above the second
/// cleared.
const SPACE: (u64, u64) = (10, 12);
const INODES: (u64, u64) = (5, 7);
const SYSTEM_BYTES: (u64, u64) = (5 * GIB, 6 * GIB);

#[derive(Debug, Clone, Default)]
pub(in crate::host) struct Disks {
    paths: Vec<PathBuf>,
    state: PathBuf,
    seen: Vec<One>,
    pressed: Vec<Pressed>,
    /// Mounts that took writes once.
    was_writable: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone)]
pub(in crate::host) struct One {
    pub path: PathBuf,
    pub disk: Disk,
    pub mounted: Option<Mounted>,
}

/// A disk that is nearly full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Pressed {
    pub path: PathBuf,
    pub by: By,
    /// What is left, in percent, and in bytes when it became less.
    pub percent: u64,
    pub bytes: u64,
    pub total: u64,
    walked: Option<Duration>,
    pub largest: Vec<String>,
}

impl Disks {
    pub(in crate::host) fn new(paths: Vec<PathBuf>, state: PathBuf) -> Self {
        Self { paths, state, ..Self::default() }
    }

    pub(in crate::host) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What a look said; `mounts` are those of the paths, in their order, if they are known.
    pub(in crate::host) fn looked(
        &mut self,
        disks: Vec<(PathBuf, Disk)>,
        mounts: Vec<Option<Mounted>>,
    ) {
        let mounts = mounts.into_iter().chain(std::iter::repeat(None));
        let one = |((path, disk), mounted)| One { path, disk, mounted };
        self.seen = disks.into_iter().zip(mounts).map(one).collect();
        for mounted in self.seen.iter().filter_map(|one| one.mounted.as_ref()) {
            if !mounted.read_only {
                self.was_writable.insert(mounted.at.clone());
            }
        }
        let before = std::mem::take(&mut self.pressed);
        for (path, space) in self.local() {
            let held = before.iter().find(|one| one.path == path);
            self.pressed.extend(press(&path, &space, held));
        }
    }

    /// Each local file system once, by the first path on it.
    pub(in crate::host) fn local(&self) -> Vec<(PathBuf, Space)> {
        let mut found: Vec<(PathBuf, Space)> = Vec::new();
        for one in &self.seen {
            let local = one.mounted.as_ref().is_none_or(Mounted::is_local);
            let Disk::Space(space) = &one.disk else { continue };
            let known = |other: &(PathBuf, Space)| {
                other.1.id == space.id && space.id != 0 && other.1.total_bytes == space.total_bytes
            };
            if local && !found.iter().any(known) {
                found.push((one.path.clone(), *space));
            }
        }
        found
    }

    /// The space where stationd's state lies.
    pub(in crate::host) fn of_state(&self) -> Option<(&Path, Space)> {
        self.seen.iter().find(|one| one.path == self.state).and_then(|one| match one.disk {
            Disk::Space(space) => Some((one.path.as_path(), space)),
            _ => None,
        })
    }

    pub(in crate::host) fn silent(&self) -> impl Iterator<Item = &Path> {
        self.seen.iter().filter(|one| one.disk == Disk::Silent).map(|one| one.path.as_path())
    }

    pub(in crate::host) fn pressed(&self) -> &[Pressed] {
        &self.pressed
    }

    /// Mounts that take no writes, where they should: they did, or `says` that the kernel stopped
    /// it, or stationd's state lies there. A system may be made to run from a disk that is read-only.
    pub(in crate::host) fn read_only(&self, says: impl Fn(&Mounted) -> bool) -> Vec<&Mounted> {
        let mut found: Vec<&Mounted> = Vec::new();
        for one in &self.seen {
            let Some(mounted) = one.mounted.as_ref().filter(|mounted| mounted.read_only) else {
                continue;
            };
            let should =
                one.path == self.state || self.was_writable.contains(&mounted.at) || says(mounted);
            if should && !found.iter().any(|other| other.at == mounted.at) {
                found.push(mounted);
            }
        }
        found
    }

    /// The next disk whose largest folders should be found.
    pub(in crate::host) fn next_walk(&mut self, now: Duration) -> Option<walk::Ask> {
        let due =
            |one: &&mut Pressed| one.walked.is_none_or(|last| now.saturating_sub(last) >= WALK);
        let one = self.pressed.iter_mut().find(due)?;
        one.walked = Some(now);
        Some(walk::Ask { path: one.path.clone(), by: one.by })
    }

    pub(in crate::host) fn walked(&mut self, path: &Path, walked: Option<Walked>) {
        let Some(walked) = walked else { return };
        if let Some(one) = self.pressed.iter_mut().find(|one| one.path == path) {
            one.largest = walked.largest.iter().map(|folder| named(folder, one.by)).collect();
        }
    }
}

/// Whether a disk is nearly full, given whether it was.
fn press(path: &Path, space: &Space, held: Option<&Pressed>) -> Option<Pressed> {
    let mark = |marks: (u64, u64), by| {
        let held = held.is_some_and(|held| held.by == by);
        if held { marks.1 } else { marks.0 }
    };
    let below = |part: u64, whole: u64, percent: u64| {
        whole > 0 && u128::from(part) * 100 < u128::from(whole) * u128::from(percent)
    };
    let total = space.total_bytes;
    let bytes = space.available_bytes;
    // On a disk that is small as a whole, five GiB are no sign.
    let system = path == Path::new("/") && total > 4 * SYSTEM_BYTES.0;
    let few = below(bytes, total, mark(SPACE, By::Bytes))
        || (system && bytes < mark(SYSTEM_BYTES, By::Bytes));
    let few_inodes = below(space.inodes_free, space.inodes_total, mark(INODES, By::Entries));
    let percent = |part: u64, whole: u64| part.saturating_mul(100) / whole.max(1);
    let (by, percent) = match (few, few_inodes) {
        (true, _) => (By::Bytes, percent(bytes, total)),
        (_, true) => (By::Entries, percent(space.inodes_free, space.inodes_total)),
        _ => return None,
    };
    let held = held.filter(|held| held.by == by);
    // The figure in the message changes with the percent only.
    let bytes = held.filter(|held| held.percent == percent).map_or(bytes, |held| held.bytes);
    let walked = held.and_then(|held| held.walked);
    let largest = held.map(|held| held.largest.clone()).unwrap_or_default();
    Some(Pressed { path: path.to_owned(), by, percent, bytes, total, walked, largest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(total_gib: u64, available_mib: u64, inodes_free: u64) -> Space {
        Space {
            total_bytes: total_gib * GIB,
            available_bytes: available_mib << 20,
            inodes_total: 1000,
            inodes_free,
            id: 7,
        }
    }

    #[test]
    fn marks_have_a_distance() {
        let mut disks = Disks::new(vec!["/".into()], "/var".into());
        let look = |disks: &mut Disks, space| {
            disks.looked(vec![("/".into(), Disk::Space(space))], Vec::new());
            disks.pressed().first().map(|one| (one.by, one.percent))
        };
        let gib = 1024;
        assert_eq!(look(&mut disks, space(100, 11 * gib, 500)), None);
        assert_eq!(look(&mut disks, space(100, 9 * gib, 500)), Some((By::Bytes, 9)));
        assert_eq!(look(&mut disks, space(100, 11 * gib, 500)), Some((By::Bytes, 11)));
        assert_eq!(look(&mut disks, space(100, 13 * gib, 500)), None);
        // Inodes alone; a file system that counts none.
        assert_eq!(look(&mut disks, space(100, 50 * gib, 40)), Some((By::Entries, 4)));
        assert_eq!(look(&mut disks, space(100, 50 * gib, 60)), Some((By::Entries, 6)));
        assert_eq!(look(&mut disks, space(100, 50 * gib, 80)), None);
        let uncounted = Space { inodes_total: 0, inodes_free: 0, ..space(100, 50 * gib, 0) };
        assert_eq!(look(&mut disks, uncounted), None);
        // Five GiB count on a system's disk of a certain size.
        assert_eq!(look(&mut disks, space(30, 4 * gib, 500)), Some((By::Bytes, 13)));
        assert_eq!(look(&mut disks, space(15, 4 * gib, 500)), None);
    }

    #[test]
    fn a_file_system_is_told_once_and_a_share_not_at_all() {
        let paths = ["/", "/var", "/mnt/share"].map(PathBuf::from);
        let mut disks = Disks::new(paths.to_vec(), paths[1].clone());
        let full = |id| Disk::Space(Space { id, ..space(100, 1024, 500) });
        let share = Mounted { at: "/mnt/share".into(), kind: "nfs4".into(), ..Mounted::default() };
        let looked = paths.iter().cloned().zip([full(7), full(7), full(9)]).collect();
        disks.looked(looked, vec![None, None, Some(share)]);
        let pressed: Vec<&Path> = disks.pressed().iter().map(|one| one.path.as_path()).collect();
        assert_eq!(pressed, [Path::new("/")]);
        assert_eq!(disks.of_state().unwrap().0, paths[1]);
        let looked = paths.iter().cloned().map(|path| (path, Disk::Silent)).collect();
        disks.looked(looked, Vec::new());
        assert!(disks.of_state().is_none() && disks.local().is_empty());
        assert_eq!(disks.silent().count(), 3);
    }

    #[test]
    fn a_disk_is_walked_once_in_ten_minutes_while_it_is_full() {
        let mut disks = Disks::new(vec!["/".into()], "/".into());
        let look = |disks: &mut Disks, mib| {
            disks.looked(vec![("/".into(), Disk::Space(space(100, mib, 500)))], Vec::new());
        };
        let at = Duration::from_secs;
        look(&mut disks, 50_000);
        assert_eq!(disks.next_walk(at(0)), None);
        look(&mut disks, 5000);
        let ask = walk::Ask { path: "/".into(), by: By::Bytes };
        assert_eq!(disks.next_walk(at(0)), Some(ask.clone()));
        let found = Walked { largest: vec![("/var/log".into(), 12 * GIB)], complete: true };
        disks.walked(Path::new("/"), Some(found));
        look(&mut disks, 5100);
        assert_eq!(disks.pressed()[0].largest, ["12.0 GiB in /var/log"]);
        assert_eq!(disks.pressed()[0].bytes, 5000 << 20, "the same percent, the same words");
        assert_eq!(disks.next_walk(at(599)), None);
        assert_eq!(disks.next_walk(at(600)), Some(ask));
    }

    #[test]
    fn read_only_is_a_fault_where_it_was_not_so() {
        let mounted = |read_only| Mounted { at: "/".into(), read_only, ..Mounted::default() };
        let mut disks = Disks::new(vec!["/".into()], "/var".into());
        let look = |disks: &mut Disks, read_only| {
            disks.looked(vec![("/".into(), Disk::Silent)], vec![Some(mounted(read_only))]);
            disks.read_only(|_| false).len()
        };
        assert_eq!(look(&mut disks, true), 0, "it may be made that way");
        assert_eq!(disks.read_only(|_| true).len(), 1, "the kernel says so");
        assert_eq!(look(&mut disks, false), 0);
        assert_eq!(look(&mut disks, true), 1);
        let mut state = Disks::new(vec!["/".into()], "/".into());
        assert_eq!(look(&mut state, true), 1, "stationd writes there");
    }
}
