//! The space of a file system: `statvfs(3)`. It may hang, so it is called in processes that may be lost.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What `statvfs` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    pub total_bytes: u64,
    /// What an ordinary user may still write.
    pub available_bytes: u64,
    /// 0 where the file system counts none, as Btrfs.
    pub inodes_total: u64,
    pub inodes_free: u64,
    /// Tells file systems apart; 0 where they have no number.
    pub id: u64,
}

/// In tests, what [`space`] says: a line `PATH TOTAL AVAILABLE INODES FREE` or `PATH hang` for each;
/// `*` stands for every other path, all on one file system.
const STAND_IN: &str = "statvfs";

pub fn space(path: &Path) -> io::Result<Space> {
    let text = super::stand_in(STAND_IN).unwrap_or_default();
    let told = text.lines().enumerate().find_map(|(number, line)| {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, rest) = words.split_first()?;
        (Path::new(name) == path || *name == "*").then(|| (number, rest.to_vec()))
    });
    let Some((number, words)) = told else { return asked(path) };
    if words == ["hang"] {
        // Far longer than anybody waits.
        std::thread::park_timeout(Duration::from_secs(3600));
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut numbers = words.iter().map(|word| word.parse::<u64>());
    let mut next = || numbers.next().and_then(Result::ok).ok_or(io::ErrorKind::InvalidData);
    Ok(Space {
        total_bytes: next()?,
        available_bytes: next()?,
        inodes_total: next()?,
        inodes_free: next()?,
        id: u64::try_from(number).unwrap_or_default() + 1,
    })
}

fn asked(path: &Path) -> io::Result<Space> {
    let space = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(space.fragment_size());
    Ok(Space {
        total_bytes: bytes(space.blocks()),
        available_bytes: bytes(space.blocks_available()),
        inodes_total: space.files(),
        inodes_free: space.files_available(),
        id: space.filesystem_id(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_space_and_what_is_not_there_is_an_error() {
        let root = space(Path::new("/")).unwrap();
        assert!(root.total_bytes > 0 && root.available_bytes <= root.total_bytes, "{root:?}");
        assert!(space(Path::new("/nonexistent")).is_err());
    }
}
