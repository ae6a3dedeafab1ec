//! Shares, and what brings them.

use super::Explained;

pub(super) const UNAVAILABLE: Explained = Explained {
    name: "MountUnavailable",
    degrades: true,
    meaning: "A share cannot be mounted, or was unmounted on purpose. It is tried again every half \
              minute; nothing can be written under the mount point meanwhile.",
    remedy: "Do what the message says. `stationctl mount remount NAME` tries at once.",
};

pub(super) const LOST: Explained = Explained {
    name: "MountLost",
    degrades: true,
    meaning: "The driver of a share died, hung or was unmounted. What had been saved is kept, and the \
              share comes back by itself, as a rule within a second.",
    remedy: "Wait. If it happens again and again, read the log: `journalctl -u stationd-mount-NAME`.",
};

pub(super) const COVERED: Explained = Explained {
    name: "MountCovered",
    degrades: true,
    meaning: "Something else was mounted over a share: what is saved there does not reach the share.",
    remedy: "Unmount it; `findmnt` shows what it is.",
};

pub(super) const CACHE_FULL: Explained = Explained {
    name: "MountCacheFull",
    degrades: true,
    meaning: "The disk with the local copies of a share's files is nearly full: soon nothing can be \
              written to the share.",
    remedy: "Free space there, or name another disk in mount.cache_dir.",
};

pub(super) const OUTDATED: Explained = Explained {
    name: "MountOutdated",
    degrades: false,
    meaning: "The configuration of a share was changed, and it is still mounted as before.",
    remedy: "`stationctl mount remount NAME`, when it suits: who uses the share must close it first.",
};

pub(super) const UNREACHABLE: Explained = Explained {
    name: "ShareUnreachable",
    degrades: true,
    meaning: "The storage behind a share does not answer. Files that are at hand can be read, and what \
              is saved stays pending; the driver is left alone, for a restart would not help.",
    remedy: "Look at the network and at the storage account. Do not delete this machine while files are \
             pending.",
};

pub(super) const DENIED: Explained = Explained {
    name: "ShareDenied",
    degrades: true,
    meaning: "The storage behind a share refuses our credential: it has expired, or was changed.",
    remedy: "Write a good one into the file that mount.credential names, then \
             `stationctl mount remount NAME`.",
};

pub(super) const UPLOADS_STUCK: Explained = Explained {
    name: "UploadsStuck",
    degrades: true,
    meaning: "Files that were saved have not reached the share for more than five minutes. They are on \
              this machine's disk and nowhere else.",
    remedy: "`stationctl mount show NAME` lists them. Do not delete this machine before they are there.",
};

pub(super) const DRAIN_BLOCKED: Explained = Explained {
    name: "DrainBlocked",
    degrades: false,
    meaning: "A share was to be unmounted and cannot be: files are still pending, or programs use it.",
    remedy: "Close what uses it, or wait until the storage can be reached; it is tried again by itself.",
};

pub(super) const STRANDED: Explained = Explained {
    name: "ProcessesStranded",
    degrades: false,
    meaning: "Processes work in a folder of a mount that is gone: it answers with an error for ever, \
              although the share is back.",
    remedy: "Change the folder in them (`cd \"$PWD\"` in a shell, `os.chdir(…)` in a notebook), or start \
             them again.",
};
