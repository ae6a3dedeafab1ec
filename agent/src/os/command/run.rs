//! A program that is run for what it says: with a limit on its time and on what it prints, and with
//! nothing of it left afterwards.
//!
//! What such a program starts in the background may hold its outputs open and live on, as a login
//! script does that starts a daemon. So the end of the program is looked for, not only the end of
//! its output, and its whole session is killed. What ran out of time is asked to end first: a login shell that
//! is killed within `pyenv rehash` leaves a lock that makes every later login wait for a minute.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join;
use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::{CommandError, Program, prepared};
use crate::base::limits;
use crate::os::process;

/// How often it is looked whether the program has ended.
pub(super) const STEP: Duration = Duration::from_millis(10);
/// How long a session may take to end when it is asked to.
const ASKED: Duration = Duration::from_secs(1);
/// How often the session is looked through when it is killed.
const KILLS: usize = 5;

/// What a program left.
#[derive(Debug)]
pub struct Output {
    pub success: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs a program to its end with no input, or until `enough` holds for its standard output.
///
/// It is killed with everything in its session when it prints too much and when `enough` holds. When `limit`
/// has passed it gets SIGTERM first, and a second to follow it.
pub async fn run_as(
    program: &Program,
    limit: Duration,
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Output, CommandError> {
    let mut command = Command::from(prepared(program));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let fail = |source| CommandError::Start { program: program.program.clone(), source };
    let mut child = command.spawn().map_err(fail)?;
    // Declared after the child, so that it is dropped first: the pid is still ours then.
    let mut session = Session::of(&child);
    // Open for as long as it may end in order: a shell that cannot write does not get to its trap.
    let mut outputs = (child.stdout.take(), child.stderr.take());
    let whole = async {
        let (stdout, stderr) = listen(&mut outputs, &session, enough).await;
        if stdout.len().max(stderr.len()) > limits::COMMAND_OUTPUT {
            return Err(CommandError::TooMuch { program: program.program.clone() });
        }
        let ended = session.ended();
        session.kill();
        let status = child.wait().await.map_err(fail)?;
        Ok(Output { success: !ended || status.success(), stdout, stderr })
    };
    if let Ok(ran) = tokio::time::timeout(limit, whole).await {
        return ran;
    }
    session.ask().await;
    Err(CommandError::TimedOut { program: program.program.clone(), limit })
}

/// Reads both outputs until the program has ended, printed too much, or printed enough.
async fn listen(
    (out, err): &mut (Option<ChildStdout>, Option<ChildStderr>),
    session: &Session,
    enough: impl Fn(&[u8]) -> bool,
) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        // Asked before the reading, so that nothing is missed of what it printed.
        let ended = session.ended();
        join(more(out, &mut stdout), more(err, &mut stderr)).await;
        let too_much = stdout.len().max(stderr.len()) > limits::COMMAND_OUTPUT;
        if ended || too_much || enough(&stdout) {
            return (stdout, stderr);
        }
        if out.is_none() && err.is_none() {
            tokio::time::sleep(STEP).await;
        }
    }
}

/// Takes what is there, or what comes within a step; a closed output becomes `None`.
pub(super) async fn more(stream: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(open) = stream else { return };
    // One more than the limit, so that it shows.
    into.reserve((limits::COMMAND_OUTPUT + 1).saturating_sub(into.len()));
    if let Ok(Ok(0) | Err(_)) = tokio::time::timeout(STEP, open.read_buf(into)).await {
        *stream = None;
    }
}

/// The session of a program that has not been reaped; killed when this is dropped.
#[derive(Debug)]
pub(super) struct Session(Option<i32>);

impl Session {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()))
    }

    /// Whether its leader has ended.
    pub(super) fn ended(&self) -> bool {
        self.0.and_then(process::Stat::read).is_none_or(|stat| stat.state == 'Z')
    }

    /// Asks everything in it to end, and waits for that a moment.
    async fn ask(&self) {
        let Some(leader) = self.0 else { return };
        let left = || {
            let mut left = process::of_session(leader);
            left.retain(|pid| process::Stat::read(*pid).is_some_and(|stat| stat.state != 'Z'));
            left
        };
        for pid in left() {
            if let Err(error) = process::signal(pid, Signal::SIGTERM) {
                tracing::debug!(pid, %error, "what ran out of time cannot be asked to end");
            }
        }
        let gone = async {
            while !left().is_empty() {
                tokio::time::sleep(STEP).await;
            }
        };
        drop(tokio::time::timeout(ASKED, gone).await);
    }

    /// Once only: after it the leader may be reaped, and its number belong to another.
    pub(super) fn kill(&mut self) {
        let Some(leader) = self.0.take() else { return };
        // Again, for what was started while the list was read.
        for _ in 0..KILLS {
            let mut left = process::of_session(leader);
            left.retain(|pid| process::Stat::read(*pid).is_some_and(|stat| stat.state != 'Z'));
            if left.is_empty() {
                return;
            }
            for pid in left {
                if let Err(error) = process::signal(pid, Signal::SIGKILL) {
                    tracing::debug!(pid, %error, "what a program left cannot be killed");
                }
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::os::clock;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Program {
        Program {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            folder: "/".into(),
            account: None,
        }
    }

    #[tokio::test]
    async fn both_outputs_and_the_status_come_back() {
        let output = run_as(&shell("echo out; echo err >&2; exit 3"), LIMIT, |_| false).await;
        let output = output.unwrap();
        assert!(!output.success);
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
        assert!(run_as(&shell("true"), LIMIT, |_| false).await.unwrap().success);
    }

    #[tokio::test]
    async fn endless_output_ends_the_program_on_either_stream() {
        for script in ["yes", "yes >&2"] {
            let before = clock::since_boot();
            let error = run_as(&shell(script), LIMIT, |_| false).await.unwrap_err();
            assert!(matches!(error, CommandError::TooMuch { .. }), "{error}");
            assert!(clock::since_boot() < before + LIMIT / 2);
        }
    }

    #[tokio::test]
    async fn a_background_process_neither_holds_it_up_nor_stays() {
        let enough = |text: &[u8]| text.ends_with(b"mark");
        for script in ["sleep 307 & echo $!; printf mark", "sleep 307 & echo $!; printf mark; wait"]
        {
            let before = clock::since_boot();
            let output = run_as(&shell(script), LIMIT, enough).await.unwrap();
            assert!(clock::since_boot() < before + LIMIT / 2);
            let text = String::from_utf8(output.stdout).unwrap();
            let pid: i32 = text.lines().next().unwrap().parse().unwrap();
            while process::Stat::read(pid).is_some_and(|stat| stat.state != 'Z') {
                assert!(clock::since_boot() < before + LIMIT / 2, "{pid} lives");
                tokio::time::sleep(STEP).await;
            }
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended() {
        let limit = Duration::from_millis(200);
        let error = run_as(&shell("sleep 307"), limit, |_| false).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    }

    /// As a login shell within `pyenv rehash` does: what it holds it takes away when it is asked to end.
    #[tokio::test]
    async fn what_takes_too_long_may_tidy_up_and_what_does_not_listen_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, deaf) = (folder.path().join("lock"), folder.path().join("deaf"));
        let tidy = format!(
            "trap 'rm {0}; exit' TERM; touch {0}; while :; do sleep 0.05; done",
            lock.display()
        );
        let limit = Duration::from_millis(500);
        let error = run_as(&shell(&tidy), limit, |_| false).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        assert!(!lock.exists(), "the lock was left");
        let stubborn = format!("trap '' TERM; echo $$ > {}; exec sleep 308", deaf.display());
        run_as(&shell(&stubborn), limit, |_| false).await.unwrap_err();
        let pid: i32 = std::fs::read_to_string(&deaf).unwrap().trim().parse().unwrap();
        assert!(process::Stat::read(pid).is_none_or(|stat| stat.state == 'Z'), "{pid} lives");
    }
}
