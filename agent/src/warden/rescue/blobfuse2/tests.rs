//! A cache in a folder, a share in another: what is left, what is kept, and every prefix of every history.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

struct Cache(tempfile::TempDir);

impl Cache {
    fn new() -> Self {
        let cache = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(cache.now("x").parent().unwrap()).unwrap();
        cache
    }

    fn folders(&self) -> Folders {
        Folders::of(self.0.path())
    }

    fn now(&self, name: &str) -> PathBuf {
        self.folders().now.join(name)
    }

    fn left(&self) -> Vec<(PathBuf, String)> {
        let folders = self.folders();
        let all = files(&folders.left).unwrap();
        let read = |path: PathBuf| (folders.below(&path), fs::read_to_string(&path).unwrap());
        all.into_iter().map(read).collect()
    }
}

/// In place, as blobfuse2 does.
fn write(path: &Path, content: &str) {
    File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
}

/// As after a download: the time of the share's file.
fn fetched(path: &Path, content: &str) {
    write(path, content);
    let old = UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

#[test]
fn what_somebody_wrote_is_left_and_copies_of_the_share_are_not() {
    let cache = Cache::new();
    fetched(&cache.now("copy"), "share's");
    fs::create_dir_all(cache.now("a")).unwrap();
    write(&cache.now("a/mine"), "mine");
    write(&cache.now("empty"), "");
    assert_eq!(rescue(cache.0.path()).unwrap(), 1);
    assert!(!cache.folders().now.exists());
    assert_eq!(cache.left(), [(PathBuf::from("a/mine"), "mine".to_owned())]);
    assert_eq!(rescue(cache.0.path()).unwrap(), 1, "still there at the next start");
}

#[test]
fn a_file_that_was_not_uploaded_outlives_a_driver_that_empties_its_cache() {
    let cache = Cache::new();
    write(&cache.now("n"), "new");
    note_failed(cache.0.path(), Path::new("n")).unwrap();
    note_failed(cache.0.path(), Path::new("n")).unwrap();
    note_failed(cache.0.path(), Path::new("gone")).unwrap();
    fs::remove_dir_all(cache.folders().now).unwrap();
    rescue(cache.0.path()).unwrap();
    let all = failed(&cache.folders()).unwrap();
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(one.path, Path::new("n"));
    assert!(!one.changed);
    assert_eq!(fs::read_to_string(&one.data).unwrap(), "new");
    forget_failed(one).unwrap();
    assert!(failed(&cache.folders()).unwrap().is_empty());
}

#[test]
fn what_is_written_after_the_failure_is_told_apart() {
    let cache = Cache::new();
    fetched(&cache.now("n"), "new");
    note_failed(cache.0.path(), Path::new("n")).unwrap();
    write(&cache.now("n"), "half of somethi");
    assert!(failed(&cache.folders()).unwrap().first().unwrap().changed);
    rescue(cache.0.path()).unwrap();
    assert!(cache.left().is_empty(), "it has its name among the failed ones");
}

/// What happens to one file, in the order of a writer's life.
#[derive(Debug, Clone, Copy)]
enum Step {
    Data(u8),
    /// The upload, and then the `close()` that tells of it.
    Uploaded,
    Failed,
    /// A crash, the next start, and the process that brings what is left, as far as it comes.
    Crash {
        brings: bool,
    },
    /// The driver goes in its own way and empties its cache.
    Wiped,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u8..9).prop_map(Step::Data),
        Just(Step::Uploaded),
        Just(Step::Failed),
        any::<bool>().prop_map(|brings| Step::Crash { brings }),
        Just(Step::Wiped),
    ]
}

proptest! {
    /// Every prefix of every history: what was acknowledged is at the share, and what failed to get there is there
    /// or kept.
    #[test]
    fn no_history_loses_what_was_acknowledged(history in prop::collection::vec(step(), 1..12)) {
        let cache = Cache::new();
        let share = tempfile::tempdir().unwrap();
        let at = share.path().join("f");
        let (mut acknowledged, mut refused): (Option<String>, Vec<String>) = (None, Vec::new());
        for step in history {
            match step {
                Step::Data(length) => {
                    if cache.now("f").exists() {
                        // Its own writer replaces it.
                        refused.clear();
                    }
                    fs::create_dir_all(cache.folders().now).unwrap();
                    write(&cache.now("f"), &"d".repeat(length.into()));
                }
                Step::Uploaded if cache.now("f").exists() => {
                    fs::copy(cache.now("f"), &at).unwrap();
                    acknowledged = fs::read_to_string(&at).ok();
                    // What failed before was replaced by its own writer.
                    refused.clear();
                }
                Step::Failed if cache.now("f").exists() => {
                    note_failed(cache.0.path(), Path::new("f")).unwrap();
                    refused = vec![fs::read_to_string(cache.now("f")).unwrap()];
                }
                Step::Wiped => drop(fs::remove_dir_all(cache.folders().now)),
                Step::Crash { brings } => {
                    rescue(cache.0.path()).unwrap();
                    if brings {
                        bring::everything(cache.0.path(), share.path());
                    }
                }
                _ => {}
            }
            if let Some(text) = fs::read_to_string(&at).ok().filter(|text| refused.contains(text)) {
                // What its writer saved later has taken the place of what was acknowledged before.
                acknowledged = Some(text);
            }
            let mut kept: Vec<String> = cache.left().into_iter().map(|(_, text)| text).collect();
            for one in failed(&cache.folders()).unwrap() {
                kept.push(fs::read_to_string(one.data).unwrap());
            }
            let there = |path: PathBuf| fs::read_to_string(path).unwrap();
            kept.extend(files(share.path()).unwrap().into_iter().map(there));
            prop_assert!(acknowledged.iter().all(|one| kept.contains(one)), "{kept:?}");
            if !cache.now("f").exists() {
                prop_assert!(refused.iter().all(|one| kept.contains(one)), "{refused:?} {kept:?}");
            }
        }
    }
}
