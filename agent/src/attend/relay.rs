//! Carries bytes from `s.sock`, which stationd may use, to where the app really listens.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::tree;
use super::{INNER, Target};
use crate::base::limits;
use crate::base::tasks::Tasks;

/// Bytes that are read at once in each direction, as in the proxy.
const BUFFER: usize = 64 * 1024;

/// Takes connections until the tasks are cancelled.
pub(super) async fn serve(tasks: Tasks, listener: UnixListener, folder: PathBuf, to: Target) {
    let slots = Arc::new(Semaphore::new(limits::RELAY_CONNECTIONS));
    let folder: Arc<Path> = folder.into();
    while let Some(next) = tasks.token().run_until_cancelled(listener.accept()).await {
        let Ok((client, _address)) = next else {
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            continue;
        };
        // Whoever finds no place sees the connection close, and comes again.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let folder = Arc::clone(&folder);
        tasks.work(async move {
            // An app that does not listen yet, or any more, is for the proxy to explain.
            drop(carry(client, &folder, to).await);
            drop(slot);
        });
    }
}

async fn carry(client: UnixStream, folder: &Path, to: Target) -> io::Result<()> {
    match to {
        Target::Inner => join(client, UnixStream::connect(folder.join(INNER)).await?).await,
        Target::Port(port) => {
            // Any user of this machine may have taken the port: they would get what is meant for
            // the app.
            let own = nix::unistd::geteuid().as_raw();
            if tree::listens(port, own) != Some(true) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let app = TcpStream::connect(("127.0.0.1", port)).await?;
            app.set_nodelay(true)?;
            join(client, app).await
        }
    }
}

/// Carries bytes both ways until both have ended.
pub(super) async fn join(
    mut client: UnixStream,
    mut app: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    copy_bidirectional_with_sizes(&mut client, &mut app, BUFFER, BUFFER).await.map(drop)
}
