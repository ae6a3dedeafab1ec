//! `stationctl`: one request on the admin socket per verb, and a screen that a person understands.
//!
//! `args` says what can be asked, `connection` asks it, `screen` and `words` turn answers into
//! text (pure), `verbs` ties them together;
//! `setup` needs no stationd. `--json` prints the API's own JSON instead.

pub mod args;
mod connection;
mod doctor;
mod mounts;
mod screen;
pub mod setup;
mod tokens;
mod verbs;
mod words;

use std::path::PathBuf;

use station_proto::problem::Problem;

pub use connection::Connection;
pub use verbs::{Printer, run};

/// Why a verb failed. [`ClientError::exit_code`] is part of the interface.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to stationd; tried {}", list(.tried))]
    NotRunning { tried: Vec<(PathBuf, String)> },
    #[error("stationd did not answer as expected")]
    Exchange(#[source] crate::os::socket::http::HttpError),
    #[error("{}: {}", .0.title, .0.detail)]
    Refused(Box<Problem>),
    #[error("stationd gave an answer that this stationctl does not understand: {0}")]
    Answer(String),
    #[error("{0}")]
    Unknown(String),
    #[error(transparent)]
    Setup(#[from] setup::SetupError),
}

impl ClientError {
    /// 1 the answer is no, 3 cannot connect, 4 not allowed. (2 is a wrong command line.)
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning { .. } => 3,
            Self::Setup(error) => error.exit_code(),
            Self::Refused(problem) if matches!(problem.status, 401 | 403) => 4,
            Self::Exchange(_) | Self::Refused(_) | Self::Answer(_) | Self::Unknown(_) => 1,
        }
    }
}

fn list(tried: &[(PathBuf, String)]) -> String {
    let one = |(path, why): &(PathBuf, String)| format!("{} ({why})", path.display());
    let all: Vec<String> = tried.iter().map(one).collect();
    format!(
        "{}. Start it with `systemctl start stationd` (the package) or `stationd`, \
         or name its folder with --home",
        all.join(", ")
    )
}
