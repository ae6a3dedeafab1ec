//! Finds the largest folders of a file system that is nearly full, in a process that may be lost:
//! niced, on one file system, with an end in time and in entries.

mod largest;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::largest::{ROOT, Tree};
use crate::os::clock;

/// How long it may look, and at how many files and folders.
const TIME: Duration = Duration::from_secs(40);
const ENTRIES: u64 = 5_000_000;
/// Folders that are told apart; below them, and deeper than this, all counts for the folder above.
const FOLDERS: usize = 200_000;
const DEPTH: usize = 16;
/// Entries that are looked at without a pause.
const BATCH: u64 = 512;
/// A block of `st_blocks`: stat(3type).
const BLOCK: u64 = 512;
/// Folders that are named.
const NAMED: usize = 5;

/// What is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Bytes,
    /// Files and folders.
    Entries,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    pub path: PathBuf,
    pub by: By,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// The largest first; none lies in another.
    pub largest: Vec<(PathBuf, u64)>,
    /// The whole file system was seen.
    pub complete: bool,
}

/// `stationd probe walk ASK`, with what to ask as JSON.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ask = arguments.into_iter().next().and_then(|word| word.into_string().ok());
    let Some(ask) = ask.and_then(|text| serde_json::from_str::<Ask>(&text).ok()) else {
        drop(writeln!(io::stderr(), "usage: stationd probe walk ASK, as stationd writes it"));
        return ExitCode::from(2);
    };
    step_back();
    let Ok(walked) = walk(&ask, (TIME, ENTRIES)) else { return ExitCode::FAILURE };
    let Ok(mut line) = serde_json::to_vec(&walked) else { return ExitCode::FAILURE };
    line.push(b'\n');
    match io::stdout().lock().write_all(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Takes the processor and the disk when nobody else wants them, where that is allowed; in the package's
/// sandbox it is not, and the pauses have to do.
fn step_back() {
    let _priority = rustix::process::nice(19);
    // ioprio_set(2): this process (who 0 of kind 1), class 3, "idle".
    #[expect(unsafe_code, reason = "neither nix nor rustix has this call")]
    // SAFETY: the call takes three numbers and touches no memory of ours.
    let _result = unsafe { nix::libc::syscall(nix::libc::SYS_ioprio_set, 1, 0, 3 << 13) };
}

/// Looks at everything below `ask.path` that is on its file system, as long as the limits allow.
fn walk(ask: &Ask, (time, entries): (Duration, u64)) -> io::Result<Walked> {
    let device = fs::metadata(&ask.path)?.dev();
    let end = clock::since_boot() + time;
    let mut tree = Tree::new(ask.by);
    let mut seen = 0;
    let mut complete = true;
    let mut pending = vec![(ask.path.clone(), ROOT, 0)];
    let (mut rested, mut last) = (0, clock::since_boot());
    while let Some((path, folder, depth)) = pending.pop() {
        if seen - rested > BATCH {
            // Asleep three times as long as at work: at most a quarter of a core, and of the disk.
            std::thread::park_timeout(clock::since_boot().saturating_sub(last).min(TIME) * 3);
            (rested, last) = (seen, clock::since_boot());
        }
        if clock::since_boot() > end || seen > entries {
            complete = false;
            break;
        }
        // A folder that vanished or is closed to us is left out.
        let Ok(inside) = fs::read_dir(&path) else { continue };
        for entry in inside.flatten() {
            seen += 1;
            let Ok(meta) = entry.metadata() else { continue };
            if meta.dev() != device {
                continue;
            }
            tree.add(folder, share(&meta));
            if meta.is_dir() {
                let own = (depth < DEPTH && tree.len() < FOLDERS)
                    .then(|| tree.folder(folder, entry.file_name()));
                pending.push((entry.path(), own.unwrap_or(folder), depth + 1));
            }
        }
    }
    let largest = tree.largest(NAMED, &ask.path);
    Ok(Walked { largest, complete })
}

/// Bytes of a file; a share of them where it has several names.
fn share(meta: &fs::Metadata) -> u64 {
    let bytes = meta.blocks().saturating_mul(BLOCK);
    if meta.is_file() { bytes / meta.nlink().max(1) } else { bytes }
}

/// For messages: `12.4 GiB in /var/log`.
pub fn named((path, amount): &(PathBuf, u64), by: By) -> String {
    let amount = match by {
        By::Entries => format!("{amount} files"),
        By::Bytes if *amount >= 1 << 30 => {
            let tenths = amount.saturating_mul(10) >> 30;
            format!("{}.{} GiB", tenths / 10, tenths % 10)
        }
        By::Bytes => format!("{} MiB", amount >> 20),
    };
    format!("{amount} in {}", shown(path))
}

/// A name may hold anything; a message is one line.
fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { '?' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file::write_atomic;

    #[test]
    fn the_largest_folders_are_found_and_a_walk_ends() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (name, kib) in [("a/deep/in/big", 400), ("b/middle", 100), ("c/small", 4)] {
            fs::create_dir_all(root.join(name)).unwrap();
            write_atomic(&root.join(name).join("file"), &vec![7; kib * 1024], 0o644).unwrap();
        }
        let ask = Ask { path: root.to_owned(), by: By::Bytes };
        let found = walk(&ask, (TIME, ENTRIES)).unwrap();
        let names: Vec<PathBuf> = found.largest.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(names[..2], [root.join("a/deep/in/big"), root.join("b/middle")], "{found:?}");
        assert!(found.complete && found.largest[0].1 >= 400 * 1024, "{found:?}");
        assert!(!walk(&ask, (TIME, 1)).unwrap().complete);
        assert!(walk(&Ask { path: root.join("none"), by: By::Bytes }, (TIME, 1)).is_err());
    }

    #[test]
    fn a_message_names_an_amount_and_one_line() {
        let one = |amount| (PathBuf::from("/a\nb"), amount);
        assert_eq!(named(&one(13_314_398_618), By::Bytes), "12.4 GiB in /a?b");
        assert_eq!(named(&one(5 << 20), By::Bytes), "5 MiB in /a?b");
        assert_eq!(named(&one(7), By::Entries), "7 files in /a?b");
    }
}
