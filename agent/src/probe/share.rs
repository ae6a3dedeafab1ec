//! `stationd probe share`: looks at the root of a mount each time it is told to. It is the one process that
//! touches the mount, so it is the one that hangs with it.

use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use serde::{Deserialize, Serialize};

/// One line to the process: look there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub path: PathBuf,
}

/// One line from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The error number of `statx(2)`; absent if the mount answered.
    #[serde(default)]
    pub errno: Option<i32>,
}

/// The whole life of the role: a line in, a line out, until its input ends.
pub fn run() -> ExitCode {
    let mut out = io::stdout();
    for line in io::stdin().lock().lines() {
        let ask = line.ok().and_then(|line| serde_json::from_str::<Ask>(&line).ok());
        let Some(ask) = ask else { return ExitCode::FAILURE };
        let text = serde_json::to_string(&look(&ask.path)).unwrap_or_default();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Asks the driver itself: what the kernel remembers of the root says nothing.
fn look(path: &Path) -> Said {
    let flags = AtFlags::STATX_FORCE_SYNC | AtFlags::SYMLINK_NOFOLLOW;
    let found = statx(CWD, path, flags, StatxFlags::BASIC_STATS);
    Said { errno: found.err().map(rustix::io::Errno::raw_os_error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_answers_and_what_is_not_has_a_number() {
        assert_eq!(look(Path::new("/")).errno, None);
        assert_eq!(look(Path::new("/nonexistent")).errno, Some(2));
    }
}
