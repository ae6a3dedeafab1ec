//! Programs that save small files again and again, and remember what was acknowledged: a file whose `close(2)`
//! returned 0 must reach the share, whatever happens.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::fd::IntoRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two files of one writer.
const PAUSE: Duration = Duration::from_millis(5);

/// Threads that write until they are told to stop.
#[derive(Debug)]
pub struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeMap<String, String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// `count` of them, each in a folder of its own below `place`.
    pub fn start(place: &Path, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let write = |number: usize| {
            let (place, stop) = (place.to_owned(), Arc::clone(&stop));
            let acknowledged = Arc::clone(&acknowledged);
            std::thread::spawn(move || {
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("w{number}/{turn:06}.txt");
                    let content = format!("{name} {}\n", "x".repeat(turn % 3000));
                    if save(&place.join(&name), &content) {
                        let mut all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                        all.insert(name, content);
                    }
                    std::thread::park_timeout(PAUSE);
                }
            })
        };
        let threads = (0..count).map(write).collect();
        Self { stop, acknowledged, threads }
    }

    /// How many files have been acknowledged so far.
    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends them: every file that was acknowledged, by its path, with its content.
    pub fn end(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            drop(thread.join());
        }
        let all = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}

/// Whether it was acknowledged. The error of `close(2)` counts, which the standard library drops.
fn save(path: &PathBuf, content: &str) -> bool {
    if path.parent().is_none_or(|folder| fs::create_dir_all(folder).is_err()) {
        return false;
    }
    let Ok(mut file) = OpenOptions::new().write(true).create(true).truncate(true).open(path) else {
        return false;
    };
    let written = file.write_all(content.as_bytes()).is_ok();
    nix::unistd::close(file.into_raw_fd()).is_ok() && written
}

/// Of what was acknowledged, what is not below `folder` with the same content.
pub fn lost(acknowledged: &BTreeMap<String, String>, folder: &Path) -> Vec<String> {
    let differs = |(name, content): &(&String, &String)| {
        fs::read_to_string(folder.join(name)).is_ok_and(|found| found == **content)
    };
    acknowledged.iter().filter(|one| !differs(one)).map(|(name, _)| name.clone()).collect()
}
