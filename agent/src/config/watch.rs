//! Tells when a configuration file may have changed.
//!
//! Folders are watched, not files: editors write a new file and rename it over the old one. While
//! `conf.d` or the whole folder does not exist, its nearest existing ancestor is watched. A change
//! is told once, when the files have been quiet for a moment; what changed is for the reader of
//! the files to find out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::base::chain::Chain;
use crate::base::tasks::Tasks;

/// The files must be quiet for this long: an editor's save is several changes.
const QUIET: Duration = Duration::from_millis(300);
/// A file that is written all the time is read nevertheless.
const QUIET_MAX: Duration = Duration::from_secs(3);

/// Live reload does not work; the configuration itself is not affected.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("cannot watch for changes of files; see fs.inotify.max_user_instances")]
    Create { source: notify::Error },
    #[error("cannot watch {path} for changes; see fs.inotify.max_user_watches")]
    Watch { path: PathBuf, source: notify::Error },
}

/// Watches `file` and the `*.toml` in `folder`; every `()` says that they may have changed.
pub fn spawn(tasks: &Tasks, file: &Path, folder: &Path) -> Result<mpsc::Receiver<()>, WatchError> {
    let (stirred, stirred_rx) = mpsc::channel(1);
    let (changed, changed_rx) = mpsc::channel(1);
    let wanted = Wanted { file: file.to_owned(), folder: folder.to_owned() };
    let relevant = wanted.clone();
    let notifier = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| relevant.concerns(&event)) {
            tell(&stirred);
        }
    })
    .map_err(|source| WatchError::Create { source })?;
    let mut watched = Watched { wanted, watcher: notifier, folders: Vec::new() };
    watched.renew()?;
    let cancel = tasks.token().clone();
    tasks.part("config-watch", run(watched, stirred_rx, changed, cancel));
    Ok(changed_rx)
}

async fn run(
    mut watched: Watched,
    mut stirred: mpsc::Receiver<()>,
    changed: mpsc::Sender<()>,
    cancel: CancellationToken,
) {
    let work = async {
        while stirred.recv().await.is_some() {
            let settle = async {
                while let Ok(Some(())) = tokio::time::timeout(QUIET, stirred.recv()).await {}
            };
            drop(tokio::time::timeout(QUIET_MAX, settle).await);
            // A folder may have come or gone, and what happened in it before it was watched
            // is covered by the reading that follows.
            if let Err(error) = watched.renew() {
                let error = Chain(&error);
                tracing::warn!(%error, "live reload is impaired");
            }
            if changed.is_closed() {
                return;
            }
            tell(&changed);
        }
    };
    // Cancel-safe: a change that is not told any more concerns nobody.
    if cancel.run_until_cancelled(work).await.is_none() {
        tracing::trace!("watching ends with stationd");
    }
}

/// A full channel already says what this would say.
fn tell(listener: &mpsc::Sender<()>) {
    if listener.try_send(()).is_err() {
        tracing::trace!("a change is waiting to be seen already");
    }
}

#[derive(Debug, Clone)]
struct Wanted {
    file: PathBuf,
    folder: PathBuf,
}

impl Wanted {
    /// Reading is no change; everything else may be, if it happens on the way to our files.
    fn concerns(&self, event: &notify::Event) -> bool {
        if matches!(event.kind, EventKind::Access(_)) {
            return false;
        }
        // An event without a path says that events were lost.
        event.paths.is_empty() || event.paths.iter().any(|path| self.on_the_way(path))
    }

    fn on_the_way(&self, path: &Path) -> bool {
        let in_folder = path.parent() == Some(self.folder.as_path())
            && path.extension().is_some_and(|ending| ending == "toml");
        in_folder || self.file.starts_with(path) || self.folder.starts_with(path)
    }
}

struct Watched {
    wanted: Wanted,
    watcher: RecommendedWatcher,
    folders: Vec<PathBuf>,
}

impl Watched {
    /// Watches the folders that exist now. Each is watched anew: one that was removed and made
    /// again is another folder to the kernel.
    fn renew(&mut self) -> Result<(), WatchError> {
        for old in std::mem::take(&mut self.folders) {
            // A folder that is gone is no longer watched anyway.
            drop(self.watcher.unwatch(&old));
        }
        let parent = self.wanted.file.parent().unwrap_or(Path::new("/"));
        let mut wanted = vec![existing(parent), existing(&self.wanted.folder)];
        wanted.dedup();
        for path in wanted {
            self.watcher
                .watch(&path, RecursiveMode::NonRecursive)
                .map_err(|source| WatchError::Watch { path: path.clone(), source })?;
            self.folders.push(path);
        }
        Ok(())
    }
}

/// `path`, or the nearest folder above it that exists.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| path.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::os::file::write_atomic;

    struct Bench {
        home: tempfile::TempDir,
        changed: mpsc::Receiver<()>,
        tasks: Tasks,
    }

    impl Bench {
        fn new(below: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            let (tasks, _ended) = Tasks::new();
            let folder = home.path().join(below);
            let changed =
                spawn(&tasks, &folder.join("stationd.toml"), &folder.join("conf.d")).unwrap();
            Self { home, changed, tasks }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.home.path().join(name)
        }

        async fn told(&mut self) {
            let told = tokio::time::timeout(Duration::from_secs(10), self.changed.recv()).await;
            assert_eq!(told.expect("nothing was told"), Some(()));
        }

        async fn silent(&mut self) {
            let wait = Duration::from_millis(700);
            let told = tokio::time::timeout(wait, self.changed.recv()).await;
            assert!(told.is_err(), "told without a change");
        }
    }

    #[tokio::test]
    async fn a_write_a_rename_and_a_removal_are_told_once_each() {
        let mut bench = Bench::new("");
        let file = bench.path("stationd.toml");
        fs::File::create(&file).unwrap();
        bench.told().await;
        bench.silent().await;
        for text in ["one", "two"] {
            // Writes a new file and renames it, as editors do.
            write_atomic(&file, text.as_bytes(), 0o600).unwrap();
            bench.told().await;
            bench.silent().await;
        }
        fs::remove_file(&file).unwrap();
        bench.told().await;
    }

    #[tokio::test]
    async fn a_folder_that_comes_later_is_watched_too() {
        let mut bench = Bench::new("etc/stationd");
        bench.silent().await;
        fs::create_dir_all(bench.path("etc/stationd/conf.d")).unwrap();
        bench.told().await;
        write_atomic(&bench.path("etc/stationd/conf.d/a.toml"), b"", 0o600).unwrap();
        bench.told().await;
        fs::remove_dir_all(bench.path("etc/stationd")).unwrap();
        bench.told().await;
        fs::create_dir_all(bench.path("etc/stationd")).unwrap();
        bench.told().await;
        write_atomic(&bench.path("etc/stationd/stationd.toml"), b"", 0o600).unwrap();
        bench.told().await;
    }

    #[tokio::test]
    async fn other_files_and_reading_are_not_told() {
        let mut bench = Bench::new("");
        write_atomic(&bench.path("other.log"), b"x", 0o600).unwrap();
        fs::read(bench.path("other.log")).unwrap();
        bench.silent().await;
    }

    #[tokio::test]
    async fn it_ends_when_told() {
        let bench = Bench::new("");
        bench.tasks.cancel();
        tokio::time::timeout(Duration::from_secs(5), bench.tasks.joined()).await.unwrap();
    }
}
