//! Unix sockets: bound without leaving or stealing one, and who is at the other end.

pub mod calls;
pub mod handed;
pub mod hold;
pub mod http;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use tokio::net::{UnixListener, UnixStream};

/// `sun_path` holds 108 bytes including the closing zero; see unix(7).
pub const PATH_BYTES_MAX: usize = 107;

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(
        "the socket path {path} has {bytes} bytes, and the kernel takes {PATH_BYTES_MAX}: \
         use a shorter STATIOND_HOME"
    )]
    PathTooLong { path: PathBuf, bytes: usize },
    #[error("another process listens on {path}")]
    InUse { path: PathBuf },
    #[error("cannot listen on {path}")]
    Bind { path: PathBuf, source: io::Error },
}

/// Who is at the other end of a Unix socket, as the kernel says (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
    pub pid: i32,
}

/// Refuses a path that the kernel would cut or refuse.
pub fn check_path(path: &Path) -> Result<(), SocketError> {
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        return Err(SocketError::PathTooLong { path: path.to_owned(), bytes });
    }
    Ok(())
}

/// Listens on `path`. A file that nobody listens on any more is replaced, a living one never.
pub async fn bind_unix(path: &Path, mode: u32) -> Result<UnixListener, SocketError> {
    check_path(path)?;
    let fail = |source| SocketError::Bind { path: path.to_owned(), source };
    match UnixStream::connect(path).await {
        Ok(_) => {
            return Err(SocketError::InUse { path: path.to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fail)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(fail)?;
    Ok(listener)
}

/// Asks the kernel who is at the other end.
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = getsockopt(stream, PeerCredentials)?;
    Ok(Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = bind_unix(&path, 0o600).await.unwrap();
        assert!(matches!(bind_unix(&path, 0o600).await, Err(SocketError::InUse { .. })));
        drop(first);
        assert!(path.exists());
        assert!(bind_unix(&path, 0o600).await.is_ok());
    }

    #[tokio::test]
    async fn a_long_path_is_refused_with_the_remedy() {
        let path = Path::new("/tmp").join("x".repeat(120));
        let error = bind_unix(&path, 0o600).await.unwrap_err();
        assert!(error.to_string().contains("shorter STATIOND_HOME"), "{error}");
    }
}
