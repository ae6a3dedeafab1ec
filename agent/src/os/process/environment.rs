//! Processes found by an entry of their environment, which children inherit: so a tree is found
//! whose parents are long gone.
//!
//! The kernel holds up whoever reads the environment of a process that is stuck in it. A daemon
//! that must go on looks with [`find`], on a thread that is left behind in that case.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("process {pid} hangs in the kernel: its environment cannot be read")]
    Stuck { pid: i32 },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Every living process whose environment holds exactly `NAME=value`.
pub fn with_environment(entry: &str) -> Vec<i32> {
    look(Path::new("/proc"), &AtomicI32::new(0), |one| one == entry.as_bytes())
}

/// Every living process whose environment has an entry that begins with `start`.
pub fn with_environment_start(start: &str) -> Vec<i32> {
    look(Path::new("/proc"), &AtomicI32::new(0), |one| one.starts_with(start.as_bytes()))
}

/// The same on a thread of its own, within `limit`.
pub async fn find(
    wanted: impl Fn(&[u8]) -> bool + Send + 'static,
    limit: Duration,
) -> Result<Vec<i32>, FindError> {
    find_in(Path::new("/proc"), wanted, limit).await
}

async fn find_in(
    proc: &Path,
    wanted: impl Fn(&[u8]) -> bool + Send + 'static,
    limit: Duration,
) -> Result<Vec<i32>, FindError> {
    let at = Arc::new(AtomicI32::new(0));
    let (tell, told) = oneshot::channel();
    let (proc, shown) = (proc.to_owned(), Arc::clone(&at));
    std::thread::Builder::new()
        .name("environments".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || drop(tell.send(look(&proc, &shown, wanted))))
        .map_err(FindError::Thread)?;
    match tokio::time::timeout(limit, told).await {
        Ok(Ok(found)) => Ok(found),
        _ => Err(FindError::Stuck { pid: at.load(Ordering::Relaxed) }),
    }
}

/// `at` shows which process is being read.
fn look(proc: &Path, at: &AtomicI32, wanted: impl Fn(&[u8]) -> bool) -> Vec<i32> {
    let has = |pid: &i32| {
        at.store(*pid, Ordering::Relaxed);
        fs::read(proc.join(pid.to_string()).join("environ"))
            .is_ok_and(|text| text.split(|byte| *byte == 0).any(&wanted))
    };
    super::all_in(proc).into_iter().filter(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_found_by_what_it_was_given() {
        let path = std::env::var("PATH").unwrap();
        let wanted = format!("PATH={path}");
        let own = i32::try_from(std::process::id()).unwrap();
        let found = find(move |one| one == wanted.as_bytes(), Duration::from_secs(20)).await;
        assert!(found.unwrap().contains(&own));
    }

    #[tokio::test]
    async fn a_process_that_hangs_is_named_and_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("7/environ");
        fs::create_dir(folder.path().join("7")).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let found = find_in(folder.path(), |_| true, Duration::from_millis(100)).await;
        assert!(matches!(found, Err(FindError::Stuck { pid: 7 })), "{found:?}");
        // The thread that waits for a writer goes.
        drop(fs::OpenOptions::new().write(true).open(&file).unwrap());
    }
}
