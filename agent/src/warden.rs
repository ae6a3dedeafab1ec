//! The warden: a small process that holds one share, and outlives stationd. It starts the driver,
//! sees it die or hang, saves what it left, and puts a new one in its place.
//!
//! ```text
//!   stationd (mount) ─► privileged ─► stationd warden --dir DIR ─► the driver (rclone, blobfuse2)
//!                                       ├ m.sock ◄── stationd: state and figures; drain, remount, stop
//!                                       ├ probe share: the one process that touches the mount, and may hang
//!                                       └ stage/: where a driver mounts before it is moved to its place
//!
//!   preparing ─► starting ─► ready ⇄ degraded ─► draining ─► unmounted
//!       ▲            │         │
//!       │   (backoff)│         │ the driver dies, or hangs: its connection is aborted, it is killed
//!       └────────────┴─────────┘
//! ```
//!
//! Invariants:
//! - A write whose `close()` returned 0 reaches the share, or is pending and said to be, whatever ends the
//!   driver: what it left is saved *before* the next one starts, and nothing is unmounted before that.
//! - Nobody can write under the mount: the bare folder is guarded, and a dead mount stays in its place until
//!   another one is beneath or on top of it.
//! - This process never touches the mount itself, so nothing here hangs with it.
//! - It never deletes a file of the share.
//!
//! Not here: which shares there are (`config`), and what waits for them (`mount`, `apps`).

mod driver;
pub mod files;
mod gauge;
mod ground;
mod look;
mod rescue;
mod state;
mod task;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::base::chain::Chain;
use crate::os::file::FileError;
use crate::os::socket::SocketError;

/// Why there is no warden.
#[derive(Debug, thiserror::Error)]
enum WardenError {
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error("cannot read the launch file")]
    ReadLaunch(#[source] FileError),
    #[error("the launch file {path} is not understood")]
    ParseLaunch { path: PathBuf, source: serde_json::Error },
    #[error("the warden's files cannot be used")]
    Lock(#[source] FileError),
    #[error("another warden holds this mount")]
    Held,
    #[error("another mount keeps its copies in {path}: give each a mount.cache_dir of its own")]
    CacheHeld { path: PathBuf },
    #[error("cannot listen in the warden's folder")]
    Listen(#[source] SocketError),
    #[error("the table of mounts cannot be watched")]
    Watch(#[source] io::Error),
}

/// The whole life of the role. The arguments are those after `warden`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let folder = match words.as_slice() {
        [what, folder] if what == "--dir" => PathBuf::from(folder),
        [what, path] if what == "unmount" => return ground::unmount::run(Path::new(path)),
        [what, folder] if what == "bring" => {
            return rescue::blobfuse2::bring::run(PathBuf::from(folder));
        }
        _ => {
            complain(&"usage: stationd warden --dir DIR");
            return ExitCode::from(2);
        }
    };
    let held = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WardenError::Runtime)
        .and_then(|runtime| {
            let held = runtime.block_on(task::hold(folder));
            // A thread that reads the cache may take its time.
            runtime.shutdown_background();
            held
        });
    match held {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&Chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Into the unit's journal or the warden's log.
#[expect(clippy::print_stderr, reason = "standard error is the warden's log")]
fn complain(what: &dyn std::fmt::Display) {
    eprintln!("[stationd: {what}]");
}
