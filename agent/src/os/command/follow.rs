//! A long program whose output is of interest while it runs, line by line.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join;
use tokio::process::Command;

use super::run::{STEP, Session, more};
use super::{CommandError, Program, ends_with_us, prepared};

/// A longer line is handed on in parts.
const LINE: usize = 8 * 1024;

/// Runs a program to its end with no input; `line` gets each line of both outputs. Gives whether it
/// succeeded.
///
/// It is killed with everything in its session when `limit` has passed and when the future is
/// dropped; what it left in the background when it ends. When the calling thread ends before, the
/// program itself is killed.
pub async fn follow(
    program: &Program,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<bool, CommandError> {
    let mut command = prepared(program);
    ends_with_us(&mut command);
    let mut command = Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let fail = |source| CommandError::Start { program: program.program.clone(), source };
    let mut child = command.spawn().map_err(fail)?;
    // Declared after the child, so that it is dropped first: the pid is still ours then.
    let mut session = Session::of(&child);
    let whole = async {
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            // Asked before the reading, so that nothing is missed of what it printed.
            let ended = session.ended();
            join(more(&mut out, &mut stdout), more(&mut err, &mut stderr)).await;
            hand_on(&mut stdout, ended, &mut line);
            hand_on(&mut stderr, ended, &mut line);
            if ended {
                break;
            }
            if out.is_none() && err.is_none() {
                tokio::time::sleep(STEP).await;
            }
        }
        session.kill();
        Ok(child.wait().await.map_err(fail)?.success())
    };
    tokio::time::timeout(limit, whole).await.unwrap_or_else(|_elapsed| {
        Err(CommandError::TimedOut { program: program.program.clone(), limit })
    })
}

/// Takes the whole lines out of `bytes`, in the end also what has no end of line.
fn hand_on(bytes: &mut Vec<u8>, ended: bool, line: &mut impl FnMut(&str)) {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    let end = if ended || bytes.len() > LINE { Some(bytes.len()) } else { end };
    let Some(end) = end else { return };
    let taken: Vec<u8> = bytes.drain(..end).collect();
    for text in String::from_utf8_lossy(&taken).lines() {
        line(text);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::os::{clock, process};

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
    async fn lines_come_from_both_outputs_and_the_status_at_the_end() {
        let mut lines = Vec::new();
        let script = "echo one; printf 'two\\nthr'; echo bad >&2; sleep 0.05; printf 'ee'; exit 3";
        let done = follow(&shell(script), LIMIT, |line| lines.push(line.to_owned())).await;
        assert!(!done.unwrap());
        lines.sort();
        assert_eq!(lines, ["bad", "one", "three", "two"]);
        assert!(follow(&shell("true"), LIMIT, |_| ()).await.unwrap());
    }

    #[tokio::test]
    async fn much_output_is_all_handed_on() {
        let mut bytes = 0;
        let script = "seq 1 200000; head -c 100000 /dev/zero | tr '\\0' x";
        assert!(follow(&shell(script), LIMIT, |line| bytes += line.len()).await.unwrap());
        assert_eq!(bytes, 1_088_895 + 100_000);
    }

    #[tokio::test]
    async fn its_whole_session_ends_at_the_limit_and_when_it_is_dropped() {
        let (send, mut pids) = tokio::sync::mpsc::channel(4);
        let say = |line: &str| send.try_send(line.parse::<i32>().unwrap()).unwrap();
        let endless = shell("sleep 307 & echo $!; wait");
        let short = Duration::from_millis(300);
        let error = follow(&endless, short, say).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        let first = pids.try_recv().unwrap();
        let mut run = Box::pin(follow(&endless, LIMIT, say));
        let second = futures_util::future::select(&mut run, Box::pin(pids.recv())).await;
        let futures_util::future::Either::Right((second, _)) = second else {
            panic!("it ended by itself")
        };
        drop(run);
        let before = clock::since_boot();
        for pid in [first, second.unwrap()] {
            while process::Stat::read(pid).is_some_and(|stat| stat.state != 'Z') {
                assert!(clock::since_boot() < before + LIMIT / 2, "{pid} lives");
                tokio::time::sleep(STEP).await;
            }
        }
    }
}
