//! The kernel's log, record by record, from the first that the kernel still has:
//! <https://www.kernel.org/doc/Documentation/ABI/testing/dev-kmsg>.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Since boot, by the kernel's clock.
    pub at: Duration,
    pub text: String,
}

/// What comes of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<T> {
    Record(T, Record),
    /// The kernel dropped so many records before they were read.
    Lost(u64),
}

/// The longest record that the kernel gives (`CONSOLE_EXT_LOG_MAX`).
const LONGEST: usize = 8192;

/// An opened log.
#[derive(Debug)]
pub struct Kmsg {
    file: AsyncFd<File>,
    /// The number of the record that comes next, if none is lost.
    expected: Option<u64>,
    /// Lines that were read and not looked at yet, and the beginning of one.
    lines: VecDeque<String>,
    rest: Vec<u8>,
}

impl Kmsg {
    pub fn open() -> io::Result<Self> {
        let path = super::path("/dev/kmsg");
        Self::of(OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?)
    }

    fn of(file: File) -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "tokio has no safe way to wait for a descriptor of any kind"
        )]
        // SAFETY: the file owns its descriptor, and lives as long as its registration.
        let file = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) };
        Ok(Self { file: file?, expected: None, lines: VecDeque::new(), rest: Vec::new() })
    }

    /// The next record of which `wanted` makes something of its text, or the news that records were
    /// lost. A flood is read through, and lets other tasks run.
    pub async fn next<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> io::Result<Next<T>> {
        loop {
            while let Some(line) = self.lines.pop_front() {
                let Some((number, record)) = parse(&line) else { continue };
                let lost = self.lost(number);
                if lost > 0 {
                    // The record itself is looked at next time.
                    self.lines.push_front(line);
                    return Ok(Next::Lost(lost));
                }
                if let Some(topic) = wanted(&record.text) {
                    return Ok(Next::Record(topic, record));
                }
            }
            tokio::task::consume_budget().await;
            self.fill().await?;
        }
    }

    /// How many records are missing before this one; from here on it is the last one.
    fn lost(&mut self, number: u64) -> u64 {
        let expected = self.expected.replace(number + 1).unwrap_or(number);
        // Seen again after a loss was told, or an older one: nothing is missing.
        let lost = number.saturating_sub(expected);
        if lost > 0 {
            self.expected = Some(number);
        }
        lost
    }

    /// Waits for more. The kernel gives a record with each read; a file that stands for the log in
    /// tests gives what it has.
    async fn fill(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let mut ready = self.file.readable().await?;
            let read = ready.try_io(|file| file.get_ref().read(&mut buffer));
            let count = match read {
                Err(_would_block) => continue,
                // Records were dropped: the number of the next one tells how many.
                Ok(Err(error)) if error.raw_os_error() == Some(nix::libc::EPIPE) => continue,
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(read) => read?,
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.take(buffer.get(..count).unwrap_or_default());
            return Ok(());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        // No record is that long.
        if self.rest.len() > LONGEST {
            self.rest.clear();
        }
    }
}

/// `4,360,55559005,c;NVRM: Xid …`: priority, number, microseconds, flags; then the message.
fn parse(line: &str) -> Option<(u64, Record)> {
    let (head, text) = line.split_once(';')?;
    let mut fields = head.split(',').skip(1);
    let number = fields.next()?.parse().ok()?;
    let at = fields.next()?.parse().ok()?;
    Some((number, Record { at: Duration::from_micros(at), text: text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_number_a_time_and_a_text() {
        let (number, record) =
            parse("4,360,55559005,c;NVRM: Xid (PCI:0000:00:06): 31; more").unwrap();
        assert_eq!((number, record.at), (360, Duration::from_micros(55_559_005)));
        assert_eq!(record.text, "NVRM: Xid (PCI:0000:00:06): 31; more");
        for bad in ["", ";", "a;b", "1,2;c", "1,x,2,-;c", " SUBSYSTEM=pci"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    /// A pipe as it stands for the log in tests, with nothing in it.
    fn log() -> (tempfile::TempDir, File, Kmsg) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kmsg");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
        let log = Kmsg::of(file.unwrap()).unwrap();
        (folder, pipe, log)
    }

    #[tokio::test]
    async fn what_the_kernel_dropped_is_told_once_and_the_record_after_it_is_not_lost() {
        use std::io::Write as _;
        let (_folder, mut pipe, mut log) = log();
        pipe.write_all(b"6,7,1,-;a\n DEVICE=x\n6,8,2,-;b\n6,20,3,-;no\n6,21,4,-;a").unwrap();
        let wanted = |text: &str| (text != "no").then_some(());
        let record = |at, text: &str| Record { at: Duration::from_micros(at), text: text.into() };
        assert_eq!(log.next(wanted).await.unwrap(), Next::Record((), record(1, "a")));
        assert_eq!(log.next(wanted).await.unwrap(), Next::Record((), record(2, "b")));
        assert_eq!(log.next(wanted).await.unwrap(), Next::Lost(11));
        // Half a line waits for its end.
        pipe.write_all(b"fter\n6,22,5,-;c\n").unwrap();
        assert_eq!(log.next(wanted).await.unwrap(), Next::Record((), record(4, "after")));
        assert_eq!(log.next(wanted).await.unwrap(), Next::Record((), record(5, "c")));
    }
}
