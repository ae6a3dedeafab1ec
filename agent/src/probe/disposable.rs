//! A process that looks and may be lost: it says what it sees in lines, and an answer comes in time
//! whether it ends or not.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::Child;

use crate::os::command::{self, CommandError, Program};

/// Why nothing was seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum DisposableError {
    #[error("the process that looks cannot be started")]
    Start(#[source] CommandError),
    #[error("no connection for the process that looks")]
    Pair(#[source] io::Error),
}

/// What the process gets of our environment: what tests put in the machine's place.
const PASSED_ON: [&str; 1] = ["STATIOND_MACHINE"];
/// How long it may take to end when it was killed; one that hangs in the kernel does not.
const END: Duration = Duration::from_millis(500);
/// The most that one may say.
const SAYS: u64 = 1024 * 1024;

/// Runs `PROGRAM probe WHAT ASK`: the lines that came within `limit`, and the process if it hangs.
pub(super) async fn run(
    program: &Path,
    (what, ask): (&str, String),
    limit: Duration,
) -> Result<(Vec<String>, Option<Child>), DisposableError> {
    let (ours, theirs) = StdStream::pair().map_err(DisposableError::Pair)?;
    ours.set_nonblocking(true).map_err(DisposableError::Pair)?;
    let ours = UnixStream::from_std(ours).map_err(DisposableError::Pair)?;
    let asks = asks(program, what, ask);
    let mut child =
        command::start_speaking(&asks, theirs.into()).map_err(DisposableError::Start)?;
    let mut lines = Vec::new();
    let mut said = BufReader::new(ours.take(SAYS)).lines();
    let all = async {
        while let Ok(Some(line)) = said.next_line().await {
            lines.push(line);
        }
        child.wait().await
    };
    if tokio::time::timeout(limit, all).await.is_ok() {
        return Ok((lines, None));
    }
    // It may hang where no signal reaches it.
    if let Err(error) = child.start_kill() {
        tracing::debug!(%error, "a process that looks cannot be killed");
    }
    let hangs = tokio::time::timeout(END, child.wait()).await.is_err();
    Ok((lines, hangs.then_some(child)))
}

fn asks(program: &Path, what: &str, ask: String) -> Program {
    let ours = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    Program {
        program: program.to_owned(),
        arguments: vec!["probe".to_owned(), what.to_owned(), ask],
        environment: PASSED_ON.into_iter().filter_map(ours).collect::<BTreeMap<_, _>>(),
        folder: PathBuf::from("/"),
        account: None,
    }
}
