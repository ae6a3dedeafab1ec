//! What becomes of a file that blobfuse2 has left in its cache: pure.
//!
//! blobfuse2 uploads a file when it is closed, before `close()` returns. So what was acknowledged is at the share,
//! and a file that is left is a copy of the share's, or was never acknowledged. Nothing of the first kind may be
//! overwritten by the second, and nothing of the second is thrown away.

/// What is known of a file in the cache without asking the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::warden) struct Local {
    pub(in crate::warden) size: u64,
    /// In ns since 1970.
    pub(in crate::warden) modified: i128,
    /// When its copy in the cache was made; `None` where the file system does not say.
    pub(in crate::warden) born: Option<i128>,
}

const SECOND: i128 = 1_000_000_000;

impl Local {
    /// Whether it is a whole copy of what was in the share, which nobody has written to: after a download blobfuse2
    /// sets the time of the blob's last change, which is a whole second and earlier than the copy itself.
    pub(super) fn is_copy(&self) -> bool {
        self.modified % SECOND == 0 && self.born.is_some_and(|born| self.modified <= born)
    }
}

/// How the share's file compares with the one that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    None,
    Same,
    /// As long, and the same wherever the left one has data: it was being fetched.
    Fuller,
    /// When it was changed last, in ns since 1970.
    Other {
        modified: i128,
    },
}

/// How far its writer had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Closed, and the upload failed.
    Closed,
    /// It was open, or its upload was under way.
    Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The share has it.
    Drop,
    /// It takes its place in the share.
    Replay,
    /// It goes to the share under a name of its own.
    Beside,
}

pub(super) fn verdict(local: &Local, written: Written, share: Share) -> Verdict {
    match (share, written) {
        (Share::Same, _) | (Share::Fuller, Written::Open) => Verdict::Drop,
        (Share::None, Written::Closed) => Verdict::Replay,
        (Share::Other { modified }, Written::Closed)
            if local.born.is_some_and(|born| modified <= born) =>
        {
            Verdict::Replay
        }
        _ => Verdict::Beside,
    }
}

/// The file that a line of the driver's log says could not be uploaded.
pub(in crate::warden) fn failed_upload(line: &str) -> Option<&str> {
    if let Some((_, name)) =
        line.split_once("FileCache::releaseFileInternal : failed to flush file ")
    {
        return Some(name.trim_end());
    }
    let (_, rest) = line.split_once("FileCache::FlushFile : ")?;
    rest.split_once(" upload failed [").map(|(name, _)| name)
}

#[cfg(test)]
mod tests;
