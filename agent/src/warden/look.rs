//! The process that looks at the mount: asked over a pipe, one question at a time, and replaced when it is
//! gone. One that hangs is left alone: the abort of the connection wakes it.

pub(super) mod storage;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;

use super::state::{Answer, Spot};
use crate::base::chain::Chain;
use crate::os::clock;
use crate::os::command::{self, CommandError, Program};
use crate::probe::share::{Ask, Said};

/// Why nobody looks.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("no connection for the process that looks")]
    Pair(#[source] io::Error),
    #[error("the process that looks cannot be started")]
    Start(#[source] CommandError),
}

struct Process {
    lines: Lines<BufReader<OwnedReadHalf>>,
    asks: OwnedWriteHalf,
    /// Killed with us, if it does not hang.
    _child: Child,
}

pub(super) struct Looker {
    program: PathBuf,
    process: Option<Process>,
    asked: Option<(Spot, Duration)>,
}

impl Looker {
    pub(super) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), process: None, asked: None }
    }

    /// The answer comes from [`Looker::answer`].
    pub(super) async fn ask(&mut self, spot: Spot, path: &Path) {
        self.asked = Some((spot, clock::since_boot()));
        if self.process.is_none() {
            match self.start() {
                Ok(process) => self.process = Some(process),
                Err(error) => tracing::warn!(error = %Chain(&error), "nobody looks at the mount"),
            }
        }
        let Some(process) = &mut self.process else { return };
        let ask = Ask { path: path.to_owned() };
        let mut line = serde_json::to_vec(&ask).unwrap_or_default();
        line.push(b'\n');
        if process.asks.write_all(&line).await.is_err() {
            self.process = None;
        }
    }

    fn start(&self) -> Result<Process, LookError> {
        let (ours, theirs) = StdStream::pair().map_err(LookError::Pair)?;
        ours.set_nonblocking(true).map_err(LookError::Pair)?;
        let ours = UnixStream::from_std(ours).map_err(LookError::Pair)?;
        let program = Program {
            program: self.program.clone(),
            arguments: vec!["probe".to_owned(), "share".to_owned()],
            environment: BTreeMap::new(),
            folder: PathBuf::from("/"),
            account: None,
        };
        let child = command::start_speaking(&program, theirs.into()).map_err(LookError::Start)?;
        let (read, asks) = ours.into_split();
        Ok(Process { lines: BufReader::new(read).lines(), asks, _child: child })
    }

    /// What the look saw, and how long it took; waits for ever where nothing was asked. Cancel-safe: what
    /// was read of a line stays in the reader.
    pub(super) async fn answer(&mut self) -> (Spot, Answer, Duration) {
        let Some((spot, since)) = self.asked else { return std::future::pending().await };
        let said = match &mut self.process {
            Some(process) => process.lines.next_line().await.ok().flatten(),
            None => std::future::pending().await,
        };
        let took = clock::since_boot().saturating_sub(since);
        let said = said.and_then(|line| serde_json::from_str::<Said>(&line).ok());
        let Some(said) = said else {
            // It is gone, and says nothing of the mount: the next tick finds it silent.
            self.process = None;
            return std::future::pending().await;
        };
        self.asked = None;
        (spot, said.errno.map_or(Answer::Good, Answer::Failed), took)
    }
}
