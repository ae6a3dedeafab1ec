//! Whether R executes something, by what a session of RStudio writes down at every prompt: a command
//! that waits uses no CPU.
//!
//! The file is `sessions/active/session-ID/properites/executing` (spelt so) in RStudio's folder of
//! data, `1` or `0`: `1` from the moment at which R gets a command until it asks for the next one. A
//! session that was killed leaves what it wrote last, so only what was written since the start of the
//! process counts. Home folders may hang: they are read on a thread that is left behind in that case.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::report::Session;
use crate::os::{clock, file, process};

/// How long reading the files of all sessions may take.
const LIMIT: Duration = Duration::from_millis(500);
/// Sessions whose files are looked at: of those that are gone the files may stay.
const SESSIONS: usize = 256;
/// A property is one word.
const BYTES: u64 = 64;
/// The times of files are those of the clock tick before.
const TICK: Duration = Duration::from_secs(1);
const TICK_MS: u64 = 10;

/// Reads for one attendant, one at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader(Arc<AtomicBool>);

impl Reader {
    /// Adds to each session whether R executes something there, as far as that can be read in time.
    pub(super) async fn add(&self, sessions: &mut [Session]) {
        if sessions.is_empty() || self.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let (tell, told) = oneshot::channel();
        let (pids, hangs) = (pids(sessions), Arc::clone(&self.0));
        let started = std::thread::Builder::new().name("properties".to_owned()).spawn(move || {
            let read = pids.into_iter().filter_map(|pid| Some((pid, executing(pid)?)));
            let read: BTreeMap<i32, bool> = read.collect();
            hangs.store(false, Ordering::Release);
            // Whoever asked may not have waited.
            drop(tell.send(read));
        });
        if started.is_err() {
            self.0.store(false, Ordering::Release);
            return;
        }
        if let Ok(Ok(read)) = tokio::time::timeout(LIMIT, told).await {
            for session in sessions {
                session.executing = read.get(&session.pid).copied();
            }
        }
    }
}

fn pids(sessions: &[Session]) -> Vec<i32> {
    sessions.iter().map(|session| session.pid).collect()
}

fn executing(pid: i32) -> Option<bool> {
    let now = clock::now();
    let started = Duration::from_millis(process::Stat::read(pid)?.start_ticks * TICK_MS);
    let wall = Duration::from_millis(u64::try_from(now.wall.as_millisecond()).ok()?);
    let started = SystemTime::UNIX_EPOCH + wall.saturating_sub(now.mono.saturating_sub(started));
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let data = data(&variables(&environment))?;
    said(&data.join("sessions/active"), started)
}

/// What a session's own files say; a user has one session at a time in the open-source server, and
/// of several one that executes is enough.
fn said(active: &Path, started: SystemTime) -> Option<bool> {
    let sessions = fs::read_dir(active).ok()?.take(SESSIONS).flatten();
    let words = sessions.filter_map(|session| {
        let path = session.path().join("properites/executing");
        let fresh = fs::metadata(&path).ok()?.modified().ok()? + TICK >= started;
        let word = file::read_limited(&path, BYTES).ok().filter(|_| fresh)?;
        Some(word.trim_ascii() == b"1")
    });
    words.reduce(|one, other| one || other)
}

fn variables(environment: &[u8]) -> BTreeMap<String, String> {
    let pairs = environment.split(|byte| *byte == 0).filter_map(|entry| {
        let (name, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// RStudio's folder of data: that of its own variable, else the first that is there.
fn data(variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    if let Some(own) = variables.get("RSTUDIO_DATA_HOME") {
        return Some(own.into());
    }
    let homes = variables.get("XDG_DATA_HOME").map(|homes| homes.split(':')).into_iter().flatten();
    let default = variables.get("HOME").map(|home| Path::new(home).join(".local/share"));
    let mut folders = homes.map(PathBuf::from).chain(default).map(|home| home.join("rstudio"));
    folders.find(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        file::write_atomic(path, text.as_bytes(), 0o600).unwrap();
    }

    #[test]
    fn only_what_was_written_since_its_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        let of = |id: &str| folder.path().join(id).join("properites/executing");
        let (past, future) =
            (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert_eq!(said(folder.path(), past), None);
        write(&of("session-1"), "1");
        assert_eq!((said(folder.path(), past), said(folder.path(), future)), (Some(true), None));
        write(&of("session-1"), "0\n");
        assert_eq!(said(folder.path(), past), Some(false));
        write(&of("session-2"), "1");
        assert_eq!(said(folder.path(), past), Some(true));
        assert_eq!(said(&folder.path().join("none"), past), None);
    }

    #[test]
    fn the_folder_of_data_is_found_as_rstudio_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("home/.local/share/rstudio")).unwrap();
        fs::create_dir_all(at("two/rstudio")).unwrap();
        let found = |entries: &[(&str, String)]| {
            let text: Vec<String> =
                entries.iter().map(|(n, value)| format!("{n}={value}")).collect();
            data(&variables(text.join("\0").as_bytes()))
        };
        let home = ("HOME", at("home").display().to_string());
        assert_eq!(found(std::slice::from_ref(&home)), Some(at("home/.local/share/rstudio")));
        let both = format!("{}:{}", at("one").display(), at("two").display());
        let homes = ("XDG_DATA_HOME", both);
        assert_eq!(found(&[home.clone(), homes.clone()]), Some(at("two/rstudio")));
        let own = ("RSTUDIO_DATA_HOME", "/d".to_owned());
        assert_eq!(found(&[home, homes, own]), Some("/d".into()));
        assert_eq!(found(&[]), None);
    }
}
