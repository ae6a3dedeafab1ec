//! Caches as a crash leaves them.

use std::io::{Seek as _, Write as _};

use proptest::prelude::*;

use super::*;

/// A cache of one file: its data, and its description if there is one.
struct Cache(tempfile::TempDir);

impl Cache {
    fn new() -> Self {
        let cache = Self(tempfile::tempdir().unwrap());
        for folder in [cache.data("x").parent().unwrap(), cache.meta("x").parent().unwrap()] {
            fs::create_dir_all(folder).unwrap();
        }
        cache
    }

    fn data(&self, name: &str) -> PathBuf {
        self.0.path().join("vfs/share/box").join(name)
    }

    fn meta(&self, name: &str) -> PathBuf {
        self.0.path().join("vfsMeta/share/box").join(name)
    }

    fn rescue(&self) -> u64 {
        rescue(self.0.path()).unwrap()
    }
}

fn put(path: &Path, content: impl AsRef<[u8]>) -> Result<(), file::FileError> {
    file::write_atomic(path, content.as_ref(), 0o600)
}

const CLEAN: &str = r#"{"ModTime":"2026-11-28T10:00:00Z","ATime":"2026-11-28T10:00:00Z","Size":4,
    "Rs":[{"Pos":0,"Size":4}],"Fingerprint":"4,2026-11-28","Dirty":false}"#;

#[test]
fn a_file_with_a_good_description_is_left_alone() {
    let cache = Cache::new();
    put(&cache.data("a"), "1234").unwrap();
    put(&cache.meta("a"), CLEAN).unwrap();
    assert_eq!(cache.rescue(), 0);
    assert_eq!(fs::read_to_string(cache.meta("a")).unwrap(), CLEAN);
}

#[test]
fn a_file_without_one_is_to_be_uploaded_whole() {
    let cache = Cache::new();
    put(&cache.data("a"), "1234").unwrap();
    put(&cache.data("empty"), "").unwrap();
    assert_eq!(cache.rescue(), 2);
    let meta = Meta::read(&cache.meta("a")).unwrap();
    assert!(meta.dirty && meta.size == 4);
    assert_eq!(meta.rs.unwrap().first().map(|range| (range.pos, range.size)), Some((0, 4)));
    let empty = Meta::read(&cache.meta("empty")).unwrap();
    assert!(empty.dirty && empty.rs.unwrap().is_empty());
    assert_eq!(cache.rescue(), 0, "once is enough");
}

#[test]
fn one_with_holes_goes_beside_and_never_over_the_old_one() {
    let cache = Cache::new();
    let mut file = File::create(cache.data("model.bin")).unwrap();
    file.seek(io::SeekFrom::Start(1 << 20)).unwrap();
    file.write_all(b"new end").unwrap();
    drop(file);
    put(&cache.meta("model.bin"), "").unwrap();
    assert_eq!(cache.rescue(), 1);
    assert!(!cache.data("model.bin").exists() && !cache.meta("model.bin").exists());
    let name = fs::read_dir(cache.data("")).unwrap().next().unwrap().unwrap().file_name();
    let name = name.to_str().unwrap();
    assert!(name.starts_with("model (recovered ") && name.ends_with(").bin"), "{name}");
    assert!(Meta::read(&cache.meta(name)).unwrap().dirty);
}

#[test]
fn the_path_below_the_mount_is_shown() {
    let folders = Folders::of(Path::new("/c"));
    assert_eq!(folders.shown(Path::new("/c/vfsMeta/share/box/a/b.txt"), 2), "a/b.txt");
    let data = folders.data_of(Path::new("/c/vfsMeta/share/box/a"));
    assert_eq!(data, Some(PathBuf::from("/c/vfs/share/box/a")));
}

proptest! {
    /// Whatever part of a description was written when the driver was killed, and in whichever order data
    /// and description came to the disk: what was written and closed is to be uploaded afterwards.
    #[test]
    fn no_prefix_of_a_write_loses_a_file(cut in 0_usize..=CLEAN.len(), data in "[a-z]{0,40}") {
        let cache = Cache::new();
        let dirty = CLEAN.replace("false", "true").replace("\"Size\":4", &format!("\"Size\":{}", data.len()));
        put(&cache.data("a"), &data).unwrap();
        put(&cache.meta("a"), dirty.get(..cut.min(dirty.len())).unwrap()).unwrap();
        cache.rescue();
        let meta = Meta::read(&cache.meta("a")).unwrap();
        prop_assert!(meta.dirty);
        prop_assert_eq!(fs::read_to_string(cache.data("a")).unwrap(), data);
    }
}
