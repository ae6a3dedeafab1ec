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
/// Entries of one kind in a report, and bytes of a text in it.
const ENTRIES: usize = 64;
const TEXT: usize = 64;

/// What it sees; `None` if there is none that answers, as with an app of an older release.
pub(in crate::apps) async fn ask(
    folder: &Path,
    uid: u32,
    unit: &str,
    after: u64,
) -> Option<Report> {
    let asked = tokio::time::timeout(ANSWER, exchange(folder, uid, after)).await;
    match asked {
        // Whatever the user has put there in its place: of this run, and no more than it can be.
        Ok(Ok(report)) => (report.unit == unit).then(|| bounded(report)),
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

/// As much as an attendant of ours says at most.
fn bounded(mut report: Report) -> Report {
    let plain = |id: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !id.is_empty() && id.len() <= TEXT && id.bytes().all(letter)
    };
    let short = |text: &mut String| {
        if text.len() > TEXT * 4 {
            *text = text.chars().take(TEXT).collect();
        }
    };
    report.kernels.retain(|kernel| plain(&kernel.id));
    report.ended.retain(|ended| plain(&ended.kernel));
    report.kernels.truncate(ENTRIES);
    report.terminals.truncate(ENTRIES);
    report.sessions.truncate(ENTRIES);
    report.ended.truncate(ENTRIES);
    report.terminals.iter_mut().filter_map(|one| one.foreground.as_mut()).for_each(short);
    report
        .ended
        .iter_mut()
        .filter_map(|one| one.oom.as_mut())
        .for_each(|oom| short(&mut oom.group));
    report
}

/// What it left behind of this run, if the app was killed for its memory.
pub(in crate::apps) fn last_word(folder: &Path, unit: &str) -> Option<LastWord> {
    // In this folder the user may put a pipe, or a link to whatever hangs.
    let text = file::read_plain(&folder.join(LAST_WORD), limits::CALL_QUESTION).ok()?;
    serde_json::from_slice(&text).ok().filter(|word: &LastWord| word.unit == unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attend::report::{Ended, Terminal};

    #[test]
    fn a_report_is_cut_to_what_an_attendant_of_ours_says() {
        let ended = |seq, kernel: &str| Ended {
            seq,
            kernel: kernel.to_owned(),
            pid: 1,
            code: None,
            signal: None,
            at: 0,
            memory_bytes: 0,
            oom: None,
        };
        let mut report =
            Report { ended: (0..500).map(|seq| ended(seq, "k-1")).collect(), ..Report::default() };
        report.ended.insert(0, ended(7, &"k".repeat(1000)));
        report.ended.insert(0, ended(7, "a b"));
        report.terminals = vec![Terminal { pid: 1, foreground: Some("x".repeat(100_000)) }];
        let bounded = bounded(report);
        assert_eq!(bounded.ended.len(), ENTRIES);
        assert!(bounded.ended.iter().all(|ended| ended.kernel == "k-1"));
        assert_eq!(bounded.terminals[0].foreground.as_ref().unwrap().len(), TEXT);
    }
}
