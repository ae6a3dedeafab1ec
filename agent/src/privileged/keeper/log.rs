//! An app's output in a file that is rotated by size and never holds up the app.
//!
//! When the disk does not take a write, the bytes are dropped and counted; the first write that
//! works again says how many are missing, where they are missing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The open log. Files are `NAME`, `NAME.1` (the next older) and so on.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    bytes_max: u64,
    files_max: u32,
    unreported: u64,
    dropped: u64,
}

impl Log {
    /// Nothing is opened before the first write: a log that cannot be opened stops no app.
    pub(super) fn new(path: PathBuf, bytes_max: u64, files_max: u32) -> Self {
        Self { path, file: None, size: 0, bytes_max, files_max, unreported: 0, dropped: 0 }
    }

    /// All bytes that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Appends; what cannot be written is counted.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        if self.append(&mut left).is_err() {
            let missing = u64::try_from(left.len()).unwrap_or(u64::MAX);
            self.unreported = self.unreported.saturating_add(missing);
            self.dropped = self.dropped.saturating_add(missing);
        }
    }

    /// `left` shrinks by what was written, also when it fails half-way.
    fn append(&mut self, left: &mut &[u8]) -> io::Result<()> {
        self.rotate_if_full()?;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = open(&self.path)?;
                self.size = file.metadata()?.len();
                none.insert(file)
            }
        };
        if self.unreported > 0 {
            let gap = format!("\n[stationd: {} bytes dropped]\n", self.unreported);
            // One write, so that a disk that is still full leaves no half sentence behind.
            if file.write(gap.as_bytes())? < gap.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.size += gap.len() as u64;
            self.unreported = 0;
        }
        while !left.is_empty() {
            let written = file.write(left)?;
            self.size += written as u64;
            *left = left.get(written..).unwrap_or_default();
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    fn rotate_if_full(&mut self) -> io::Result<()> {
        if self.size < self.bytes_max {
            return Ok(());
        }
        self.file = None;
        for older in (1..self.files_max).rev() {
            let newer = older.checked_sub(1).filter(|n| *n > 0);
            match fs::rename(numbered(&self.path, newer), numbered(&self.path, Some(older))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.size = 0;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// `NAME` or `NAME.3`.
pub fn numbered(path: &Path, number: Option<u32>) -> PathBuf {
    match number {
        None => path.to_owned(),
        Some(number) => path.with_added_extension(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn rotates_by_size_and_keeps_the_number_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = Log::new(path.clone(), 10, 3);
        for text in ["1111111111", "2222222222", "3333333333", "4444444444", "5"] {
            log.write(text.as_bytes());
        }
        let read = |number| fs::read_to_string(numbered(&path, number)).unwrap();
        assert_eq!(read(None), "5");
        assert_eq!(read(Some(1)), "4444444444");
        assert_eq!(read(Some(2)), "3333333333");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_log_goes_on_where_an_earlier_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        Log::new(path.clone(), 10, 2).write(b"123456789");
        let mut again = Log::new(path.clone(), 10, 2);
        again.write(b"0");
        again.write(b"new");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_said_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/a.log");
        let mut log = Log::new(path.clone(), 100, 2);
        log.write(b"12345");
        log.write(b"678");
        assert_eq!(log.dropped(), 8);
        fs::create_dir(folder.path().join("missing")).unwrap();
        log.write(b"back\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "\n[stationd: 8 bytes dropped]\nback\n");
        assert_eq!(log.dropped(), 8);
    }
}
