//! A process that looks again and again and may be lost: asked by a line on its input, it answers with
//! lines and closes the answer with an empty one. An answer comes in time, whatever it hangs on.
//!
//! One process for many looks costs a fraction of one for each: starting a program takes milliseconds, and
//! a look microseconds.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;

use crate::base::chain::Chain;
use crate::os::command::{self, CommandError, Program};

/// Why nothing was seen.
#[derive(Debug, thiserror::Error)]
enum LastingError {
    #[error("the process that looks cannot be started")]
    Start(#[source] CommandError),
    #[error("no connection for the process that looks")]
    Pair(#[source] io::Error),
}

/// What the process gets of our environment: what tests put in the machine's place.
const PASSED_ON: [&str; 1] = ["STATIOND_MACHINE"];
/// How long it may take to end when it was killed; one that hangs in the kernel does not.
const END: Duration = Duration::from_millis(500);
/// The most that one answer may say.
const SAYS: u64 = 1024 * 1024;

/// Asks one kind of look, and holds the process that makes it.
#[derive(Debug)]
pub(super) struct Lasting {
    /// Its word after `stationd probe`.
    what: &'static str,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    said: BufReader<OwnedReadHalf>,
    asks: OwnedWriteHalf,
}

/// What came of a question.
#[derive(Debug)]
pub(super) enum Answer {
    Whole(Vec<String>),
    /// What came in time; and the process, if it hangs where no signal reaches it.
    Part(Vec<String>, Option<Child>),
    /// There is nobody to be asked.
    Nobody,
}

/// How the reading of one answer ended.
enum End {
    Whole,
    /// The process is gone.
    Gone,
    Late,
}

impl Lasting {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, process: None }
    }

    /// Asks `question`, which is one line. The process is started with the first one, and again after it was
    /// lost.
    pub(super) async fn ask(&mut self, program: &Path, question: &str, limit: Duration) -> Answer {
        // It may have ended since the last question: then another one answers this.
        for had_one in [self.process.is_some(), false] {
            let mut process = match self.process.take().map_or_else(|| self.start(program), Ok) {
                Ok(process) => process,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), what = self.what, "nobody looks");
                    return Answer::Nobody;
                }
            };
            let mut lines = Vec::new();
            let asked = process.ask(question, &mut lines);
            match tokio::time::timeout(limit, asked).await.unwrap_or(End::Late) {
                End::Whole => {
                    self.process = Some(process);
                    return Answer::Whole(lines);
                }
                End::Gone if had_one && lines.is_empty() => {}
                End::Gone | End::Late => return Answer::Part(lines, process.end().await),
            }
        }
        Answer::Nobody
    }

    fn start(&self, program: &Path) -> Result<Process, LastingError> {
        let (ours, theirs) = StdStream::pair().map_err(LastingError::Pair)?;
        ours.set_nonblocking(true).map_err(LastingError::Pair)?;
        let ours = UnixStream::from_std(ours).map_err(LastingError::Pair)?;
        let ours_of = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        let program = Program {
            program: program.to_owned(),
            arguments: vec!["probe".to_owned(), self.what.to_owned()],
            environment: PASSED_ON.into_iter().filter_map(ours_of).collect::<BTreeMap<_, _>>(),
            folder: PathBuf::from("/"),
            account: None,
        };
        let child =
            command::start_speaking(&program, theirs.into()).map_err(LastingError::Start)?;
        let (read, asks) = ours.into_split();
        Ok(Process { child, said: BufReader::new(read), asks })
    }
}

impl Process {
    async fn ask(&mut self, question: &str, lines: &mut Vec<String>) -> End {
        let line = format!("{question}\n");
        if self.asks.write_all(line.as_bytes()).await.is_err() {
            return End::Gone;
        }
        let mut said = (&mut self.said).take(SAYS).lines();
        while let Ok(Some(line)) = said.next_line().await {
            if line.is_empty() {
                return End::Whole;
            }
            lines.push(line);
        }
        End::Gone
    }

    /// Ends it; it is returned if that is not possible.
    async fn end(mut self) -> Option<Child> {
        // It may hang where no signal reaches it.
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "a process that looks cannot be killed");
        }
        let hangs = tokio::time::timeout(END, self.child.wait()).await.is_err();
        hangs.then_some(self.child)
    }
}

/// The other side: answers every line of the input until it ends. `answer` says its lines itself.
pub(super) fn answers(mut answer: impl FnMut(&str) -> io::Result<()>) -> ExitCode {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let told = answer(&line).and_then(|()| {
            let mut out = io::stdout().lock();
            out.write_all(b"\n").and_then(|()| out.flush())
        });
        // Nobody listens any more, or the question is none of ours.
        if let Err(error) = told {
            drop(writeln!(io::stderr(), "this role of stationd ends: {error}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Says one line, whole.
pub(super) fn say(said: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file::write_atomic;

    const LONG: Duration = Duration::from_secs(20);

    /// Says its number; ends after a word, in the middle of an answer, or never.
    const PROGRAM: &str = "#!/bin/sh\nwhile read -r word; do\ncase $word in\n\
        last) echo $$; echo; exit ;;\nhalf) echo half; exit ;;\nhang) exec sleep 600 ;;\n\
        *) echo $$; echo ;;\nesac\ndone\n";

    async fn whole(lasting: &mut Lasting, program: &Path, word: &str) -> String {
        match lasting.ask(program, word, LONG).await {
            Answer::Whole(lines) => lines.concat(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn one_process_answers_for_good_and_a_lost_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        write_atomic(&program, PROGRAM.as_bytes(), 0o755).unwrap();
        let mut lasting = Lasting::new("look");
        let first = whole(&mut lasting, &program, "look").await;
        assert_eq!(whole(&mut lasting, &program, "last").await, first, "the same process");
        let second = whole(&mut lasting, &program, "look").await;
        assert_ne!(second, first, "one that ended in between is replaced, and nobody notices");
        let Answer::Part(lines, None) = lasting.ask(&program, "half", LONG).await else { panic!() };
        assert_eq!(lines, ["half"]);
        let short = Duration::from_millis(300);
        let Answer::Part(lines, None) = lasting.ask(&program, "hang", short).await else {
            panic!()
        };
        assert!(lines.is_empty(), "{lines:?}");
        whole(&mut lasting, &program, "look").await;
        let nowhere = folder.path().join("nowhere");
        let nobody = Lasting::new("look").ask(&nowhere, "look", LONG).await;
        assert!(matches!(nobody, Answer::Nobody), "{nobody:?}");
    }
}
