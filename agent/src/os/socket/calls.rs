//! One question and one answer over a Unix socket, each a line of JSON: how the parts of a station
//! talk to each other. A connection carries one of each.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::Peer;
use crate::base::limits;
use crate::base::tasks::Tasks;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("cannot connect to {socket}")]
    Connect { socket: PathBuf, source: io::Error },
    #[error("the exchange with {socket} failed")]
    Exchange { socket: PathBuf, source: io::Error },
    #[error("{socket} closed the connection without an answer")]
    NoAnswer { socket: PathBuf },
    #[error("the answer of {socket} is not understood")]
    Parse { socket: PathBuf, source: serde_json::Error },
    #[error("{socket} did not answer within {} s", .limit.as_secs())]
    TimedOut { socket: PathBuf, limit: Duration },
}

/// Puts `question` and waits for the answer.
pub async fn call<A: DeserializeOwned>(
    socket: &Path,
    question: &impl Serialize,
    limit: Duration,
) -> Result<A, CallError> {
    let name = || socket.to_owned();
    let fail = |source| CallError::Exchange { socket: name(), source };
    let whole = async {
        let mut stream = open(socket, question, limit).await?;
        let answer = read_line(&mut stream, limits::CALL_ANSWER).await.map_err(fail)?;
        match answer.as_slice() {
            [] => Err(CallError::NoAnswer { socket: name() }),
            text => serde_json::from_slice(text)
                .map_err(|source| CallError::Parse { socket: name(), source }),
        }
    };
    let timed_out = |_elapsed| Err(CallError::TimedOut { socket: name(), limit });
    tokio::time::timeout(limit, whole).await.unwrap_or_else(timed_out)
}

/// At most `most` bytes up to the end of a line, without it.
async fn read_line(stream: &mut UnixStream, most: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let read = BufReader::new(stream.take(most)).read_until(b'\n', &mut line).await?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read > 0 {
        // Cut short by the limit or by the other side: half a line is no line.
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(line)
}

/// Answers questions until nothing has been asked for `idle`, or the tasks are cancelled.
///
/// Whoever `admits` refuses is hung up on, and so is whoever does not ask in time.
pub async fn serve<H, F>(
    tasks: &Tasks,
    listener: UnixListener,
    admits: impl Fn(Peer) -> bool,
    idle: Duration,
    answer: H,
) where
    H: Fn(Vec<u8>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Vec<u8>> + Send,
{
    let lines = move |question, stream| {
        let answer = answer.clone();
        async move { say(stream, &answer(question).await).await }
    };
    serve_streams(tasks, listener, admits, idle, lines).await;
}

/// The same, where an answer may be more than a line: `answer` gets the connection.
pub async fn serve_streams<H, F>(
    tasks: &Tasks,
    listener: UnixListener,
    admits: impl Fn(Peer) -> bool,
    idle: Duration,
    answer: H,
) where
    H: Fn(Vec<u8>, UnixStream) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>> + Send,
{
    let slots = Arc::new(Semaphore::new(limits::CALLS));
    loop {
        let next = tokio::time::timeout(idle, listener.accept());
        let stream = match tasks.token().run_until_cancelled(next).await {
            None => return,
            Some(Ok(Ok((stream, _address)))) => stream,
            Some(Ok(Err(error))) => {
                tracing::warn!(%error, "no question is taken for a moment");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            }
            Some(Err(_elapsed)) if slots.available_permits() == limits::CALLS => return,
            Some(Err(_elapsed)) => continue,
        };
        let peer = super::peer(&stream);
        if !peer.as_ref().is_ok_and(|peer| admits(*peer)) {
            tracing::warn!(?peer, "a stranger was hung up on");
            continue;
        }
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let answer = answer.clone();
        tasks.work(async move {
            if let Err(error) = exchange(stream, answer).await {
                tracing::debug!(%error, "a question was not answered");
            }
            drop(slot);
        });
    }
}

async fn exchange<F>(
    mut stream: UnixStream,
    answer: impl Fn(Vec<u8>, UnixStream) -> F,
) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    let question = read_line(&mut stream, limits::CALL_QUESTION);
    let question = tokio::time::timeout(limits::CALL_READ, question).await??;
    answer(question, stream).await
}

/// Writes one line.
pub async fn say(mut stream: UnixStream, line: &[u8]) -> io::Result<()> {
    let line = [line, b"\n"].concat();
    tokio::time::timeout(limits::CALL_READ, stream.write_all(&line)).await?
}

/// Puts `question`, and gives the connection on which the answer comes.
pub async fn open(
    socket: &Path,
    question: &impl Serialize,
    limit: Duration,
) -> Result<UnixStream, CallError> {
    let name = || socket.to_owned();
    let mut line = serde_json::to_vec(question)
        .map_err(|source| CallError::Parse { socket: name(), source })?;
    line.push(b'\n');
    let whole = async {
        let mut stream = UnixStream::connect(socket)
            .await
            .map_err(|source| CallError::Connect { socket: name(), source })?;
        let fail = |source| CallError::Exchange { socket: name(), source };
        stream.write_all(&line).await.map_err(fail)?;
        Ok(stream)
    };
    let timed_out = |_elapsed| Err(CallError::TimedOut { socket: name(), limit });
    tokio::time::timeout(limit, whole).await.unwrap_or_else(timed_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    struct Served {
        _folder: tempfile::TempDir,
        path: PathBuf,
        tasks: Tasks,
    }

    fn served(admits: bool, idle: Duration) -> (Served, impl Future<Output = ()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let (tasks, _ended) = Tasks::new();
        let (inner, done) = (tasks.clone(), tokio::sync::oneshot::channel());
        let (tell, told) = done;
        tasks.work(async move {
            let echo = |question: Vec<u8>| async move { question };
            serve(&inner, listener, move |_| admits, idle, echo).await;
            tell.send(()).unwrap_or_default();
        });
        let ended = async move { drop(told.await) };
        (Served { _folder: folder, path, tasks }, ended)
    }

    #[tokio::test]
    async fn a_question_comes_back_and_an_idle_server_ends() {
        let (served, ended) = served(true, Duration::from_millis(300));
        let answer: Vec<u32> = call(&served.path, &[1, 2], LIMIT).await.unwrap();
        assert_eq!(answer, [1, 2]);
        tokio::time::timeout(LIMIT, ended).await.unwrap();
        served.tasks.cancel();
    }

    #[tokio::test]
    async fn strangers_and_half_questions_get_no_answer() {
        let (stranger, _) = served(false, LIMIT);
        let answer: Result<Vec<u32>, _> = call(&stranger.path, &[1], LIMIT).await;
        assert!(answer.is_err(), "{answer:?}");
        let (served, _) = served(true, LIMIT);
        for bytes in [b"[1".to_vec(), vec![b'x'; 100_000], Vec::new()] {
            let mut stream = UnixStream::connect(&served.path).await.unwrap();
            drop(stream.write_all(&bytes).await);
            drop(stream.shutdown().await);
            let mut text = Vec::new();
            drop(stream.read_to_end(&mut text).await);
            assert_eq!(text, if bytes.is_empty() { &b"\n"[..] } else { b"" });
        }
    }
}
