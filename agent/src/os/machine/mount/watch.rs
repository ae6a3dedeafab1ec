//! Hears of changes of the table of mounts: the kernel marks the open file with POLLPRI.

use std::fs::File;
use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Wakes at each change.
#[derive(Debug)]
pub struct TableWatch(AsyncFd<File>);

impl TableWatch {
    pub fn open() -> io::Result<Self> {
        let file = File::open("/proc/self/mountinfo")?;
        #[expect(
            unsafe_code,
            reason = "tokio has no safe way to wait for a descriptor of any kind"
        )]
        // SAFETY: the file is owned here, stays open until the registration is dropped, and is
        // never exchanged for another.
        let registered = unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) };
        Ok(Self(registered?))
    }

    /// Returns after a change; several may be one. Cancel-safe.
    pub async fn changed(&self) -> io::Result<()> {
        self.0.ready(Interest::PRIORITY).await?.clear_ready();
        Ok(())
    }
}
