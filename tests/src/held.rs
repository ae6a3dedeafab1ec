//! Listeners that the test holds and passes to every stationd that it starts, as PID 1 does for
//! socket units.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::Result;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::process::Command;

use crate::process;

/// The listeners; they stay open as long as this lives.
#[derive(Debug)]
pub struct Held {
    pub public: TcpListener,
    admin: UnixListener,
    /// Programs that are started inherit it: its number is what is passed.
    control: Option<TcpListener>,
}

impl Held {
    /// Listens on `public`, and for the admin socket at `admin`.
    pub fn listen(public: &str, admin: &Path) -> Result<Self> {
        if let Some(folder) = admin.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let (public, admin) = (TcpListener::bind(public)?, UnixListener::bind(admin)?);
        Ok(Self { public, admin, control: None })
    }

    /// Listens for a control plane too.
    pub fn hold_control(&mut self, address: &str) -> Result<()> {
        let listener = TcpListener::bind(address)?;
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
        self.control = Some(listener);
        Ok(())
    }

    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.public.local_addr()?)
    }

    /// A command that runs `program` with the listeners passed to it. Its outputs are the caller's
    /// to set, except that the standard output is the standard error.
    pub fn pass(&self, program: &Path) -> Result<Command> {
        // The variables name the process that the shell becomes.
        let (third, count, name) = match &self.control {
            None => (String::new(), 2, ""),
            Some(control) => (format!("5<&{}", control.as_raw_fd()), 3, ":control"),
        };
        // High numbers first, since they may be any.
        let script = format!(
            "exec {third} 103<&0 104<&1 0</dev/null 1>&2; exec 3<&103 4<&104 103<&- 104<&-; export \
             LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES=public:admin{name} WATCHDOG_PID=$$; \
             exec \"$0\""
        );
        let mut command = process::command(Path::new("/bin/bash"));
        command.arg("-c").arg(script).arg(program);
        let (public, admin) = (self.public.try_clone()?, self.admin.try_clone()?);
        command.stdin(Stdio::from(OwnedFd::from(public)));
        command.stdout(Stdio::from(OwnedFd::from(admin)));
        Ok(command)
    }
}
