//! Where the kernel's files about the machine are read: `/proc`, `/sys` and `/dev`, or a copy of
//! them for tests, which have no GPU and no failing disk.

pub mod clock;
pub mod disk;
pub mod kmsg;
pub mod mount;

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A folder that stands for `/`, in tests.
const ROOT_VARIABLE: &str = "STATIOND_MACHINE";

/// `path`, which is absolute, on this machine.
pub fn path(path: &str) -> PathBuf {
    let root = std::env::var_os(ROOT_VARIABLE).unwrap_or_default();
    PathBuf::from(root)
        .join(path.trim_start_matches('/'))
        .components()
        .fold(PathBuf::from("/"), |whole, part| whole.join(part))
}

/// At most `limit` bytes of a plain file at a path of this machine, as text; anything else is `None`.
/// It waits for nobody: a pipe in the place of a file is not read.
pub fn text(file: &str, limit: u64) -> Option<String> {
    text_at(&path(file), limit)
}

/// The same, of a path that was made by [`path`].
pub fn text_at(path: &Path, limit: u64) -> Option<String> {
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    read(file, limit)
}

fn read(file: File, limit: u64) -> Option<String> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// In tests, how often a machine of files is looked at: so many milliseconds between two samples, two
/// looks, two questions to systemd and two timers; 0 is never.
pub fn pace() -> Option<[u64; 4]> {
    let text = stand_in("pace")?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|one| one.parse().ok()).collect();
    numbers.try_into().ok()
}

/// What stands in the place of a system call, in tests: a file of that name in the root of the
/// machine. `None` on a real one.
fn stand_in(name: &str) -> Option<String> {
    let root = std::env::var_os(ROOT_VARIABLE).filter(|root| !root.is_empty())?;
    read(File::open(Path::new(&root).join(name)).ok()?, 64 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_another_root_a_path_is_itself() {
        assert_eq!(path("/proc/meminfo"), PathBuf::from("/proc/meminfo"));
        assert_eq!(stand_in("proc/meminfo"), None);
    }

    #[test]
    fn a_pipe_and_a_folder_are_no_text_and_a_long_file_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(text_at(&pipe, 10), None);
        assert_eq!(text_at(folder.path(), 10), None);
        let file = folder.path().join("file");
        crate::os::file::write_atomic(&file, b"abc\xff", 0o644).unwrap();
        assert_eq!(text_at(&file, 2).as_deref(), Some("ab"));
        assert_eq!(text_at(&file, 9).as_deref(), Some("abc\u{fffd}"));
    }
}
