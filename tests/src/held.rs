//! Listeners that the test holds and passes to every stationd that it starts, as PID 1 does for
//! socket units.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::Result;
use tokio::process::Command;

use crate::process;

/// The listeners; they stay open as long as this lives.
#[derive(Debug)]
pub struct Held {
    pub public: TcpListener,
    admin: UnixListener,
}

impl Held {
    /// Listens on `public`, and for the admin socket at `admin`.
    pub fn listen(public: &str, admin: &Path) -> Result<Self> {
        if let Some(folder) = admin.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self { public: TcpListener::bind(public)?, admin: UnixListener::bind(admin)? })
    }

    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.public.local_addr()?)
    }

    /// A command that runs `program` with both listeners passed to it. Its outputs are the caller's
    /// to set, except that the standard output is the standard error.
    pub fn pass(&self, program: &Path) -> Result<Command> {
        // The variables name the process that the shell becomes.
        let script = "exec 3<&0 4<&1 0</dev/null 1>&2; export LISTEN_PID=$$ LISTEN_FDS=2 \
                      LISTEN_FDNAMES=public:admin WATCHDOG_PID=$$; exec \"$0\"";
        let mut command = process::command(Path::new("/bin/bash"));
        command.arg("-c").arg(script).arg(program);
        let (public, admin) = (self.public.try_clone()?, self.admin.try_clone()?);
        command.stdin(Stdio::from(OwnedFd::from(public)));
        command.stdout(Stdio::from(OwnedFd::from(admin)));
        Ok(command)
    }
}
