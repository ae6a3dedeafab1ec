//! Every condition that this release can state, with its meaning: a closed list.
//!
//! A condition names a problem. `stationctl explain NAME` and the help page print this text.

mod gpu;
mod host;
mod mount;

/// The kinds of condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    ConfigInvalid,
    ConfigRejected,
    RestartRequired,
    RunsAsRoot,
    ClonedImage,
    ListenMismatch,
    PrivilegedSilent,
    ProbeSilent,
    RootAccessRefused,
    WorkspaceMissing,
    MountUnavailable,
    MountLost,
    MountCovered,
    MountCacheFull,
    MountOutdated,
    ShareUnreachable,
    ShareDenied,
    UploadsStuck,
    DrainBlocked,
    ProcessesStranded,
    StateNotWritable,
    AppUnavailable,
    AppCrashLoop,
    AppRestarting,
    AppNotAnswering,
    GpuDriverNotLoaded,
    GpuDriverMismatch,
    GpuDriverFailed,
    GpuDriverUnresponsive,
    GpuLost,
    GpuCountMismatch,
    GpuProcessStuck,
    GpuNeedsReset,
    GpuNeedsReboot,
    GpuMemoryDegraded,
    GpuXid,
    GpuThrottled,
    GpuThermal,
    GpuPcieDegraded,
    NvlinkDegraded,
    GpuFabricNotReady,
    GpuPersistenceOff,
    GpuMigPending,
    GpuUnreadable,
    MemoryPressure,
    CpuPressure,
    IoPressure,
    OutOfMemoryKills,
    DiskPressure,
    ReadOnlyFilesystem,
    FilesystemErrors,
    ClockUnsynchronized,
    ClockJumped,
    UnitsFailed,
    RebootRequired,
    NetworkDown,
    AgentSlow,
    CudaToolkitIncompatible,
}

/// What a person should know of a condition.
#[derive(Debug, Clone, Copy)]
pub struct Explained {
    pub name: &'static str,
    /// Whether `phase` is `degraded` while it holds.
    pub degrades: bool,
    pub meaning: &'static str,
    pub remedy: &'static str,
}

impl Kind {
    pub const ALL: [Self; 58] = [
        Self::ConfigInvalid,
        Self::ConfigRejected,
        Self::RestartRequired,
        Self::RunsAsRoot,
        Self::ClonedImage,
        Self::ListenMismatch,
        Self::PrivilegedSilent,
        Self::ProbeSilent,
        Self::RootAccessRefused,
        Self::WorkspaceMissing,
        Self::MountUnavailable,
        Self::MountLost,
        Self::MountCovered,
        Self::MountCacheFull,
        Self::MountOutdated,
        Self::ShareUnreachable,
        Self::ShareDenied,
        Self::UploadsStuck,
        Self::DrainBlocked,
        Self::ProcessesStranded,
        Self::StateNotWritable,
        Self::AppUnavailable,
        Self::AppCrashLoop,
        Self::AppRestarting,
        Self::AppNotAnswering,
        Self::GpuDriverNotLoaded,
        Self::GpuDriverMismatch,
        Self::GpuDriverFailed,
        Self::GpuDriverUnresponsive,
        Self::GpuLost,
        Self::GpuCountMismatch,
        Self::GpuProcessStuck,
        Self::GpuNeedsReset,
        Self::GpuNeedsReboot,
        Self::GpuMemoryDegraded,
        Self::GpuXid,
        Self::GpuThrottled,
        Self::GpuThermal,
        Self::GpuPcieDegraded,
        Self::NvlinkDegraded,
        Self::GpuFabricNotReady,
        Self::GpuPersistenceOff,
        Self::GpuMigPending,
        Self::GpuUnreadable,
        Self::MemoryPressure,
        Self::CpuPressure,
        Self::IoPressure,
        Self::OutOfMemoryKills,
        Self::DiskPressure,
        Self::ReadOnlyFilesystem,
        Self::FilesystemErrors,
        Self::ClockUnsynchronized,
        Self::ClockJumped,
        Self::UnitsFailed,
        Self::RebootRequired,
        Self::NetworkDown,
        Self::AgentSlow,
        Self::CudaToolkitIncompatible,
    ];

    pub fn name(self) -> &'static str {
        self.explained().name
    }

    /// Takes back what [`Kind::name`] gave, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    pub fn explained(self) -> &'static Explained {
        match self {
            Self::ConfigInvalid => &CONFIG_INVALID,
            Self::ConfigRejected => &CONFIG_REJECTED,
            Self::RestartRequired => &RESTART_REQUIRED,
            Self::RunsAsRoot => &RUNS_AS_ROOT,
            Self::ClonedImage => &CLONED_IMAGE,
            Self::ListenMismatch => &LISTEN_MISMATCH,
            Self::PrivilegedSilent => &PRIVILEGED_SILENT,
            Self::ProbeSilent => &PROBE_SILENT,
            Self::RootAccessRefused => &ROOT_ACCESS_REFUSED,
            Self::WorkspaceMissing => &WORKSPACE_MISSING,
            Self::MountUnavailable => &mount::UNAVAILABLE,
            Self::MountLost => &mount::LOST,
            Self::MountCovered => &mount::COVERED,
            Self::MountCacheFull => &mount::CACHE_FULL,
            Self::MountOutdated => &mount::OUTDATED,
            Self::ShareUnreachable => &mount::UNREACHABLE,
            Self::ShareDenied => &mount::DENIED,
            Self::UploadsStuck => &mount::UPLOADS_STUCK,
            Self::DrainBlocked => &mount::DRAIN_BLOCKED,
            Self::ProcessesStranded => &mount::STRANDED,
            Self::StateNotWritable => &STATE_NOT_WRITABLE,
            Self::AppUnavailable => &APP_UNAVAILABLE,
            Self::AppCrashLoop => &APP_CRASH_LOOP,
            Self::AppRestarting => &APP_RESTARTING,
            Self::AppNotAnswering => &APP_NOT_ANSWERING,
            Self::GpuDriverNotLoaded => &gpu::DRIVER_NOT_LOADED,
            Self::GpuDriverMismatch => &gpu::DRIVER_MISMATCH,
            Self::GpuDriverFailed => &gpu::DRIVER_FAILED,
            Self::GpuDriverUnresponsive => &gpu::DRIVER_UNRESPONSIVE,
            Self::GpuLost => &gpu::GPU_LOST,
            Self::GpuCountMismatch => &gpu::GPU_COUNT,
            Self::GpuProcessStuck => &gpu::PROCESS_STUCK,
            Self::GpuNeedsReset => &gpu::GPU_RESET,
            Self::GpuNeedsReboot => &gpu::GPU_REBOOT,
            Self::GpuMemoryDegraded => &gpu::GPU_MEMORY,
            Self::GpuXid => &gpu::GPU_XID,
            Self::GpuThrottled => &gpu::GPU_THROTTLED,
            Self::GpuThermal => &gpu::GPU_HOT,
            Self::GpuPcieDegraded => &gpu::GPU_PCIE,
            Self::NvlinkDegraded => &gpu::NVLINK,
            Self::GpuFabricNotReady => &gpu::FABRIC,
            Self::GpuPersistenceOff => &gpu::PERSISTENCE_OFF,
            Self::GpuMigPending => &gpu::MIG_PENDING,
            Self::GpuUnreadable => &gpu::GPU_UNREADABLE,
            Self::MemoryPressure => &host::MEMORY_PRESSURE,
            Self::CpuPressure => &host::CPU_PRESSURE,
            Self::IoPressure => &host::IO_PRESSURE,
            Self::OutOfMemoryKills => &host::OUT_OF_MEMORY_KILLS,
            Self::DiskPressure => &host::DISK_PRESSURE,
            Self::ReadOnlyFilesystem => &host::READ_ONLY_FILESYSTEM,
            Self::FilesystemErrors => &host::FILESYSTEM_ERRORS,
            Self::ClockUnsynchronized => &host::CLOCK_UNSYNCHRONIZED,
            Self::ClockJumped => &host::CLOCK_JUMPED,
            Self::UnitsFailed => &host::UNITS_FAILED,
            Self::RebootRequired => &host::REBOOT_REQUIRED,
            Self::NetworkDown => &host::NETWORK_DOWN,
            Self::AgentSlow => &host::AGENT_SLOW,
            Self::CudaToolkitIncompatible => &host::CUDA_TOOLKIT,
        }
    }
}

const CONFIG_INVALID: Explained = Explained {
    name: "ConfigInvalid",
    degrades: true,
    meaning: "The configuration could not be used when stationd started. The admin \
                          socket and the heartbeat work; no app is started.",
    remedy: "Run `stationctl check`, mend the lines it names and save: stationd \
                         reads the files again by itself.",
};

const CONFIG_REJECTED: Explained = Explained {
    name: "ConfigRejected",
    degrades: false,
    meaning: "The configuration was changed and the new one has mistakes. The one \
                          from before stays in force.",
    remedy: "Run `stationctl check` and mend the lines it names.",
};

const RESTART_REQUIRED: Explained = Explained {
    name: "RestartRequired",
    degrades: false,
    meaning: "The configuration was changed in keys that are read at the start only.",
    remedy: "Restart stationd when it suits; apps and kernels go on running.",
};

const RUNS_AS_ROOT: Explained = Explained {
    name: "RunsAsRoot",
    degrades: false,
    meaning: "Apps run as root, because stationd was started by root and no \
                          instance.local_user is configured. Everything a notebook does, it \
                          does as root.",
    remedy: "Set instance.local_user to the user that the workstation belongs to.",
};

const CLONED_IMAGE: Explained = Explained {
    name: "ClonedImage",
    degrades: false,
    meaning: "The state folder comes from another machine: the machine id differs. \
                          stationd took a new instance id and forgot all sessions.",
    remedy: "Nothing, if the disk was cloned on purpose. It clears at the next start.",
};

const LISTEN_MISMATCH: Explained = Explained {
    name: "ListenMismatch",
    degrades: false,
    meaning: "systemd holds the public listener (stationd.socket; for `control` the control \
                          plane's, stationd-control.socket), and it is not what the configuration says: at another address, at several, missing, or open to \
                          other machines without TLS. stationd serves on it where that is safe; \
                          where nothing is served, the phase is degraded.",
    remedy: "Write the same address into listen.address and, by `systemctl edit stationd.socket`, \
                         into the socket unit ([Socket], an empty ListenStream= and then \
                         ListenStream=ADDRESS:PORT); then `systemctl stop stationd.socket \
                         stationd.service && systemctl start stationd.socket stationd.service`. \
                         Apps and kernels go on running.",
};

const PRIVILEGED_SILENT: Explained = Explained {
    name: "PrivilegedSilent",
    degrades: true,
    meaning: "The part of stationd that has rights does not answer. What runs goes on; no app can \
                          be started, stopped or looked at.",
    remedy: "Read `systemctl status stationd-privileged.service` and its journal; \
                         `systemctl restart stationd-privileged.socket` if the socket is gone.",
};

const PROBE_SILENT: Explained = Explained {
    name: "ProbeSilent",
    degrades: true,
    meaning: "The part of stationd that looks at what may hang does not answer, or, where a path is \
                          named, the disk there does not answer it. What it would tell is not \
                          known. Apps go on.",
    remedy: "Read `systemctl status stationd-probe.service` and its journal; \
                         `systemctl restart stationd-probe.socket` if the socket is gone. If a path \
                         is named, see `dmesg` for errors of its disk.",
};

const ROOT_ACCESS_REFUSED: Explained = Explained {
    name: "RootAccessRefused",
    degrades: false,
    meaning: "The local user's right to become root by sudo is not what instance.root_access says.",
    remedy: "Do what the message says; stationd tries again every 30 seconds. Without need of it, \
                         remove instance.root_access.",
};

const WORKSPACE_MISSING: Explained = Explained {
    name: "WorkspaceMissing",
    degrades: true,
    meaning: "The folder that apps work in is not there any more, or does not answer. What is \
                          saved into it may fail or be lost; stationd deletes nothing there.",
    remedy: "Bring the folder back; stationd looks for it every few seconds. Without it, \
                         restart the app: its own folder is made again, empty.",
};

const STATE_NOT_WRITABLE: Explained = Explained {
    name: "StateNotWritable",
    degrades: true,
    meaning: "The disk takes no writes to stationd's state. Apps and the proxy go \
                          on; logins that need a record, and starts of apps, are refused.",
    remedy: "Free space on the file system of the state folder; if the folder was removed, \
                         restart stationd.",
};

const APP_UNAVAILABLE: Explained = Explained {
    name: "AppUnavailable",
    degrades: true,
    meaning: "An app cannot be started, because its program was not found.",
    remedy: "Install it, or name it in the app's `command`; stationd looks again \
                         every 30 seconds.",
};

const APP_CRASH_LOOP: Explained = Explained {
    name: "AppCrashLoop",
    degrades: true,
    meaning: "An app ended six times within ten minutes. It is tried again every \
                          five minutes, and at once on request.",
    remedy: "Read `stationctl app logs NAME`, mend the cause, then \
                         `stationctl app start NAME`.",
};

const APP_RESTARTING: Explained = Explained {
    name: "AppRestarting",
    degrades: true,
    meaning: "An app ended unasked and is started again after a pause that doubles \
                          with every failure.",
    remedy: "Nothing if it comes back; else read `stationctl app logs NAME`.",
};

const APP_NOT_ANSWERING: Explained = Explained {
    name: "AppNotAnswering",
    degrades: true,
    meaning: "An app runs but did not answer three probes in a row. It is not \
                          restarted, because a kernel may be at work.",
    remedy: "Wait if a large operation is under way; else \
                         `stationctl app restart NAME`, which ends its kernels.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(&kind.name().to_lowercase()), Some(kind));
        }
        assert_eq!(Kind::parse("NoSuchThing"), None);
    }
}
