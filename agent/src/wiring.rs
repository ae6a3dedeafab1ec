//! Floor 4: builds every part and joins them.
//!
//! ```text
//!   run ─► folders, lock ─► start ─► task: waits for the end
//!            ▲                          │ SIGTERM, down, a part that ended
//!            └── again ─────────────────┘ the broken configuration was mended
//! ```
//!
//! Every outside seam stands in [`Outside`]; the edges map what one part publishes to what another
//! asks for. All channels are made before a part is started, and no part waits for another.

pub mod check;
mod edges;
mod facts;
mod log;
mod public;
mod reload;
pub mod roles;
mod start;
mod task;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;

use crate::base::chain::Chain;
use crate::base::tasks::pulse::Pulses;
use crate::config::{Environment, Paths, PathsError};
use crate::front::tls::TlsError;
use crate::identity::IdentityError;
use crate::os::socket::SocketError;
use crate::os::systemd::passed::{Passed, PassedError};
use crate::os::{process, signals};
use crate::privileged::NoUser;
use crate::store::StoreError;

pub use start::folders::FoldersError;

const AFTER_HELP: &str = "Without --home, root uses /etc/stationd, /run/stationd and \
    /var/lib/stationd, and everybody else $XDG_STATE_HOME/stationd.\n\
    STATIOND_LISTEN=ADDRESS:PORT overrides listen.address; RUST_LOG overrides log.level.\n\
    SIGTERM ends stationd alone and leaves apps running; `stationctl down` ends everything.\n\
    Exit codes: 0 stopped, 1 failed, 2 wrong command line, 3 another stationd uses the folder, \
    4 cannot listen, 5 the folder or the database cannot be used";

/// Makes this machine a managed data-science workstation. Runs in the foreground.
// The manual page is made from it, hence here and not beside `main`.
#[derive(Debug, Parser)]
#[command(name = "stationd", version, after_help = AFTER_HELP)]
pub struct Args {
    /// The folder that holds all of stationd's files
    #[arg(long, env = "STATIOND_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Run as the package's units do, with the system's folders; not for a shell
    #[arg(long, conflicts_with = "home")]
    pub system: bool,
}

/// What the daemon touches outside of itself.
#[derive(Debug, Clone)]
pub struct Outside {
    pub paths: Paths,
    pub environment: Environment,
    /// This program: keepers are started from it.
    pub program: PathBuf,
    /// It runs as the package's units do: PID 1 holds the listeners, and what needs rights is asked
    /// of `stationd privileged`.
    pub units: bool,
    /// The listeners that were passed on at the start.
    pub passed: Arc<Passed>,
    /// Asked by the watchdog.
    pub pulses: Pulses,
}

/// Why the daemon did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot find out where the files are")]
    Paths(#[source] PathsError),
    #[error("cannot find this program's own file")]
    Program(#[source] io::Error),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error("cannot use the folder")]
    Folders(#[from] FoldersError),
    #[error("cannot use the database")]
    Store(#[source] StoreError),
    #[error("cannot set logins up")]
    Identity(#[source] IdentityError),
    #[error("cannot run apps")]
    User(#[source] NoUser),
    #[error(
        "cannot listen on {address}: if another program has the port, end it, or choose another \
         with listen.address or STATIOND_LISTEN"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot use what was passed on at the start")]
    Passed(#[source] PassedError),
    #[error("cannot start the watchdog")]
    Watchdog(#[source] io::Error),
    #[error("cannot make the admin socket")]
    Socket(#[source] SocketError),
    #[error("cannot set TLS up")]
    Tls(#[source] TlsError),
    #[error(
        "the control listener has no certificate: set tls_certificate and tls_key in [control], or \
         tls in [listen]"
    )]
    NoCertificate,
    #[error("the part {0} ended; this is an error of stationd: please report the lines above")]
    PartEnded(&'static str),
}

impl StartError {
    /// Part of the interface; `stationd --help` names them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Folders(FoldersError::AlreadyRunning { .. }) => 3,
            Self::Listen { .. }
            | Self::Passed(_)
            | Self::Socket(_)
            | Self::Tls(_)
            | Self::NoCertificate => 4,
            Self::Folders(FoldersError::Unusable { .. }) | Self::Store(_) | Self::Identity(_) => 5,
            _ => 1,
        }
    }
}

/// How a run of the parts ended.
enum End {
    /// It was asked for.
    Stopped,
    /// The configuration can be used now.
    Again,
}

/// Runs the daemon until it is told to stop.
pub async fn run(outside: &Outside) -> Result<(), StartError> {
    let mut stop = signals::Stop::listen().map_err(StartError::Signals)?;
    if let Err(error) = process::raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let _locked = start::folders::prepare(&outside.paths)?;
    let mut mended = false;
    loop {
        let running = match start::start(outside, None).await {
            Ok(running) => running,
            // A station that answered goes on to answer, and so does one whose listeners others
            // hold: what is wrong becomes its condition.
            Err(error) if mended || (outside.units && matches!(error, StartError::Tls(_))) => {
                start::start(outside, Some(told(&error))).await?
            }
            Err(error) => return Err(error),
        };
        match task::until_end(running, &mut stop).await? {
            End::Stopped => return Ok(()),
            End::Again => tracing::info!("the configuration can be used now: starting again"),
        }
        mended = true;
    }
}

/// Every metric of this release as `/metrics` shows it at the start: for the golden list.
pub fn metrics_text() -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &public::metrics().0).unwrap_or_default();
    text
}

/// For logs: an error with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    Chain(error).to_string()
}
