//! The kernel's log, record by record, from the first that the kernel still has:
//! <https://www.kernel.org/doc/Documentation/ABI/testing/dev-kmsg>.

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

/// The longest record that the kernel gives (`CONSOLE_EXT_LOG_MAX`).
const LONGEST: usize = 8192;

/// An opened log.
#[derive(Debug)]
pub struct Kmsg {
    file: AsyncFd<File>,
    /// Times at which the kernel had dropped records before they were read.
    pub overruns: u64,
}

impl Kmsg {
    pub fn open() -> io::Result<Self> {
        let path = super::path("/dev/kmsg");
        let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
        #[expect(
            unsafe_code,
            reason = "tokio has no safe way to wait for a descriptor of any kind"
        )]
        // SAFETY: the file owns its descriptor, and lives as long as its registration.
        let file = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) };
        Ok(Self { file: file?, overruns: 0 })
    }

    /// The next record for which `wanted` holds, by its text. A flood is read through; what the
    /// kernel dropped is counted.
    pub async fn next(&mut self, wanted: impl Fn(&str) -> bool) -> io::Result<Record> {
        let mut buffer = vec![0; LONGEST];
        loop {
            let mut ready = self.file.readable().await?;
            let read = ready.try_io(|file| file.get_ref().read(&mut buffer));
            let count = match read {
                Err(_would_block) => continue,
                Ok(Err(error)) if error.raw_os_error() == Some(nix::libc::EPIPE) => {
                    self.overruns += 1;
                    continue;
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(read) => read?,
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
            if let Some(record) = text.lines().find_map(parse).filter(|one| wanted(&one.text)) {
                return Ok(record);
            }
        }
    }
}

/// `4,360,55559005,c;NVRM: Xid …`: priority, number, microseconds, flags; then the message.
fn parse(line: &str) -> Option<Record> {
    let (head, text) = line.split_once(';')?;
    let at = head.split(',').nth(2)?.parse().ok()?;
    Some(Record { at: Duration::from_micros(at), text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_time_and_a_text() {
        let record = parse("4,360,55559005,c;NVRM: Xid (PCI:0000:00:06): 31; more").unwrap();
        assert_eq!(record.at, Duration::from_micros(55_559_005));
        assert_eq!(record.text, "NVRM: Xid (PCI:0000:00:06): 31; more");
        for bad in ["", ";", "a;b", "1,2;c", " SUBSYSTEM=pci"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
