//! Listening sockets that somebody else opened and passed on when this program was started, by
//! `sd_listen_fds(3)`: PID 1 for a socket unit.
//!
//! Whoever passed them keeps them: what connects while nobody runs here waits in the kernel for the
//! next one. So closing them here closes nothing, and a socket's file is not ours to remove.
//!
//! Not here: which of them is used, and what for.

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::sockopt::{AcceptConn, SockType as TypeOf};
use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt,
};

/// Why a passed socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    #[error("cannot take the sockets that were passed (LISTEN_FDS)")]
    Take(#[source] io::Error),
    #[error(
        "the passed socket {name} is no listening {wanted} socket: correct ListenStream= in its \
         socket unit"
    )]
    Kind { name: String, wanted: &'static str },
    #[error("cannot use the passed socket {name}")]
    Use { name: String, source: io::Error },
}

/// The sockets, by the names that their units give them (`FileDescriptorName=`).
#[derive(Debug, Default)]
pub struct Passed(Vec<(String, OwnedFd)>);

impl Passed {
    /// Takes what was passed to this very process; programs started from here do not inherit it.
    ///
    /// The first call takes all, before anything else is opened; another finds nothing.
    pub fn take() -> Result<Self, PassedError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Ok(Self::default());
        }
        let found = sd_notify::listen_fds_with_names().map_err(PassedError::Take)?;
        Ok(Self(found.map(|(descriptor, name)| (name, own(descriptor))).collect()))
    }

    /// Every name, in the order of the descriptors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The TCP listeners of this name; a unit with several addresses passes several. Each call
    /// gives descriptors of their own, which do not block.
    pub fn tcp(&self, name: &str) -> Result<Vec<TcpListener>, PassedError> {
        let families = [AddressFamily::Inet, AddressFamily::Inet6];
        let sockets = self.of(name).map(|socket| {
            let taken = listening(name, socket, ("TCP", &families))?;
            let listener = TcpListener::from(taken);
            listener.set_nonblocking(true).map_err(|source| unusable(name, source))?;
            Ok(listener)
        });
        sockets.collect()
    }

    /// The Unix stream listener of this name; the first, if there are several.
    pub fn unix(&self, name: &str) -> Result<Option<UnixListener>, PassedError> {
        let Some(socket) = self.of(name).next() else { return Ok(None) };
        let taken = listening(name, socket, ("Unix", &[AddressFamily::Unix]))?;
        let listener = UnixListener::from(taken);
        listener.set_nonblocking(true).map_err(|source| unusable(name, source))?;
        Ok(Some(listener))
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &OwnedFd> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, socket)| socket)
    }
}

#[expect(unsafe_code, reason = "there is no safe way to own a descriptor that was inherited")]
fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: whoever started this process passed the descriptor to it, `listen_fds_with_names` found
    // it open, and `Passed::take` comes here once, before anything else could own it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Another descriptor of the socket, if it is a listening stream socket of one of the families.
fn listening(
    name: &str,
    socket: &OwnedFd,
    (wanted, families): (&'static str, &[AddressFamily]),
) -> Result<OwnedFd, PassedError> {
    let family =
        || getsockname::<SockaddrStorage>(std::os::fd::AsRawFd::as_raw_fd(socket)).ok()?.family();
    let fits = getsockopt(socket, TypeOf) == Ok(SockType::Stream)
        && getsockopt(socket, AcceptConn) == Ok(true)
        && family().is_some_and(|family| families.contains(&family));
    if !fits {
        return Err(PassedError::Kind { name: name.to_owned(), wanted });
    }
    socket.try_clone().map_err(|source| unusable(name, source))
}

fn unusable(name: &str, source: io::Error) -> PassedError {
    PassedError::Use { name: name.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(name: &str, socket: impl Into<OwnedFd>) -> Passed {
        Passed(vec![(name.to_owned(), socket.into())])
    }

    #[test]
    fn what_listens_is_found_by_name_again_and_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let passed = passed("public", listener);
        for _ in 0..2 {
            let found = passed.tcp("public").unwrap();
            assert_eq!(found[0].local_addr().unwrap(), address);
        }
        assert!(passed.tcp("admin").unwrap().is_empty());
        // Dropping what was taken closes nothing.
        drop(std::net::TcpStream::connect(address).unwrap());
    }

    #[test]
    fn a_socket_of_another_kind_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let unix = passed("public", UnixListener::bind(folder.path().join("s")).unwrap());
        assert!(unix.unix("public").unwrap().is_some());
        let error = unix.tcp("public").unwrap_err();
        assert!(matches!(&error, PassedError::Kind { name, .. } if name == "public"), "{error}");
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(passed("admin", one).unix("admin"), Err(PassedError::Kind { .. })));
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(passed("public", datagram).tcp("public"), Err(PassedError::Kind { .. })));
    }

    #[test]
    fn without_any_nothing_is_found() {
        let none = Passed::take().unwrap();
        assert_eq!(none.names().count(), 0);
        assert!(none.unix("admin").unwrap().is_none());
    }
}
