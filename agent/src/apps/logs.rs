//! The last lines of an app's log, over rotated files, without secrets.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::base::limits;
use crate::base::text::redact;
use crate::privileged::keeper::{START_MARK, numbered};

#[derive(Debug, thiserror::Error)]
#[error("cannot read the log {path}")]
pub struct LogError {
    path: std::path::PathBuf,
    source: io::Error,
}

/// The last `count` lines, oldest first. A log that does not exist yet has none.
pub(super) fn tail(path: &Path, count: usize) -> Result<Vec<String>, LogError> {
    let mut bytes = Vec::new();
    let mut left = limits::LOG_TAIL_BYTES;
    for number in 0..limits::LOG_FILES {
        let part = numbered(path, (number > 0).then_some(number));
        match end_of(&part, left) {
            Ok(Some(mut part)) => {
                left = left.saturating_sub(part.len() as u64);
                part.append(&mut bytes);
                bytes = part;
            }
            Ok(None) => break,
            Err(source) => return Err(LogError { path: part, source }),
        }
        if left == 0 || bytes.split(|byte| *byte == b'\n').nth(count + 1).is_some() {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(count);
    Ok(lines.into_iter().skip(skipped).map(shown).collect())
}

/// The last lines that the present run wrote; for the evidence of an end.
pub(super) fn of_this_run(path: &Path) -> Vec<String> {
    let Ok(lines) = tail(path, limits::CAUSE_LINES) else { return Vec::new() };
    let started = lines
        .iter()
        .rposition(|line| line.starts_with(START_MARK) && line.contains(" started, generation "));
    lines.into_iter().skip(started.map_or(0, |at| at + 1)).collect()
}

/// At most `limit` bytes from the end; `None` if there is no such file.
fn end_of(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A line as people may see it: not too long, without control characters and secrets.
pub(super) fn shown(line: &str) -> String {
    let end = line.floor_char_boundary(limits::LOG_LINE_BYTES);
    let plain: String =
        line.get(..end).unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    redact::secrets(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file::write_atomic;

    #[test]
    fn the_tail_goes_over_rotated_files_and_hides_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        assert!(tail(&path, 5).unwrap().is_empty());
        write_atomic(&numbered(&path, Some(1)), b"one\ntwo\nthr", 0o600).unwrap();
        write_atomic(&path, b"ee\nGET /?token=abc\n", 0o600).unwrap();
        assert_eq!(tail(&path, 3).unwrap(), ["two", "three", "GET /?token=…"]);
        assert_eq!(tail(&path, 1).unwrap(), ["GET /?token=…"]);
    }

    #[test]
    fn evidence_begins_with_the_present_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let text = b"old\n[stationd: a started, generation 2]\nnew\n[stationd: 5 bytes dropped]\n";
        write_atomic(&path, text, 0o600).unwrap();
        assert_eq!(of_this_run(&path), ["new", "[stationd: 5 bytes dropped]"]);
    }
}
