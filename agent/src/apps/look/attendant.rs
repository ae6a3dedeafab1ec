//! Asks an app's attendant what there is below the app. What it says is the user's own word.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::attend::report::{LastWord, Question, Report};
use crate::attend::{LAST_WORD, SOCKET};
use crate::base::limits;
use crate::os::{file, socket};

/// Reading `/proc` takes no time; an attendant that is stopped takes all there is.
const ANSWER: Duration = Duration::from_secs(2);

/// What it sees; `None` if there is none that answers, as with an app of an older release.
pub(in crate::apps) async fn ask(folder: &Path, uid: u32, after: u64) -> Option<Report> {
    let asked = tokio::time::timeout(ANSWER, exchange(folder, uid, after)).await;
    match asked {
        Ok(Ok(report)) => Some(report),
        Ok(Err(error)) => {
            tracing::debug!(folder = %folder.display(), %error, "no word from the attendant");
            None
        }
        Err(_elapsed) => None,
    }
}

async fn exchange(folder: &Path, uid: u32, after: u64) -> io::Result<Report> {
    let mut stream = UnixStream::connect(folder.join(SOCKET)).await?;
    // In this folder the user may put a link to whatever listens.
    if socket::peer(&stream)?.uid != uid {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut question = serde_json::to_vec(&Question { after })?;
    question.push(b'\n');
    stream.write_all(&question).await?;
    let mut line = Vec::new();
    BufReader::new(stream.take(limits::CALL_ANSWER)).read_until(b'\n', &mut line).await?;
    Ok(serde_json::from_slice(&line)?)
}

/// What it left behind of this run, if the app was killed for its memory.
pub(in crate::apps) fn last_word(folder: &Path, unit: &str) -> Option<LastWord> {
    let text = file::read_limited(&folder.join(LAST_WORD), limits::CALL_QUESTION).ok()?;
    serde_json::from_slice(&text).ok().filter(|word: &LastWord| word.unit == unit)
}
