//! What the conditions of the machine itself mean.

use super::Explained;

pub(super) const MEMORY_PRESSURE: Explained = Explained {
    name: "MemoryPressure",
    degrades: false,
    meaning: "Memory is so short that programs wait for it, or next to nothing is left. The kernel may \
              soon end a process.",
    remedy: "Restart kernels that hold memory they do not need (`stationctl app show NAME` lists \
             them), or take a larger machine.",
};

pub(super) const CPU_PRESSURE: Explained = Explained {
    name: "CpuPressure",
    degrades: false,
    meaning: "More work wants to run than there are cores: for most of the last minute something \
              waited for a core.",
    remedy: "Nothing, if the work is meant to use all cores. Else end what is not needed (`top` shows \
             it), or take a larger machine.",
};

pub(super) const IO_PRESSURE: Explained = Explained {
    name: "IoPressure",
    degrades: false,
    meaning: "A good part of the time every program that could run waits for a disk.",
    remedy: "Find what reads and writes most (`iotop`), work on a local disk instead of a share, or \
             take a faster disk.",
};

pub(super) const OUT_OF_MEMORY_KILLS: Explained = Explained {
    name: "OutOfMemoryKills",
    degrades: false,
    meaning: "Within the last hour the kernel ended at least one process because memory ran out, that \
              of the machine or that of a limit.",
    remedy: "Load less at a time, set or raise `memory_max` of the app, or take a larger machine. A \
             kernel that was ended has lost its variables.",
};

pub(super) const DISK_PRESSURE: Explained = Explained {
    name: "DiskPressure",
    degrades: false,
    meaning: "A disk is nearly full: below 10 % of its space, below 5 GiB on that of the operating \
              system, or below 5 % of its inodes. Full, it takes no notebooks, no packages and no logins.",
    remedy: "Delete or move what is not needed; the message names the largest folders. `pip cache \
             purge`, `conda clean --all` and `docker system prune` often free much.",
};

pub(super) const READ_ONLY_FILESYSTEM: Explained = Explained {
    name: "ReadOnlyFilesystem",
    degrades: true,
    meaning: "A file system that was writable takes no writes any more. Linux does that to protect the \
              data after an error of the disk.",
    remedy: "Copy what matters away, read `dmesg` for the cause, and restart the machine, so that the \
             file system is checked. If it comes back, replace the disk.",
};

pub(super) const FILESYSTEM_ERRORS: Explained = Explained {
    name: "FilesystemErrors",
    degrades: true,
    meaning: "Within the last day the kernel reported errors of a file system or of a disk. Data on it \
              may be damaged.",
    remedy: "Copy what matters away, then restart the machine, so that the file system is checked \
             (`fsck`, `xfs_repair`, `btrfs scrub`). If it comes back, replace the disk.",
};

pub(super) const CLOCK_UNSYNCHRONIZED: Explained = Explained {
    name: "ClockUnsynchronized",
    degrades: false,
    meaning: "Nothing keeps the machine's clock right, so that it drifts. Logins by certificates and \
              tokens, and times in logs, go wrong with it. Unknown means that the kernel may not be asked.",
    remedy: "Install and start chrony or systemd-timesyncd (`timedatectl set-ntp true`) and let it \
             reach a time server.",
};

pub(super) const CLOCK_JUMPED: Explained = Explained {
    name: "ClockJumped",
    degrades: false,
    meaning: "Within the last ten minutes the machine's clock jumped. Times before and after do not \
              fit together.",
    remedy: "Nothing, if it happened once, as after a pause of the machine. Else see that only one \
             program keeps the clock.",
};

pub(super) const UNITS_FAILED: Explained = Explained {
    name: "UnitsFailed",
    degrades: false,
    meaning: "Services of the machine, not of stationd alone, have failed, as systemd says.",
    remedy: "Read `systemctl status NAME`, mend the cause, then `systemctl restart NAME`, or \
             `systemctl reset-failed NAME` if it does not matter.",
};

pub(super) const REBOOT_REQUIRED: Explained = Explained {
    name: "RebootRequired",
    degrades: false,
    meaning: "What was installed is in use only after a restart of the machine: a kernel or a library \
              that everything uses.",
    remedy: "Save the work and restart the machine when it suits.",
};

pub(super) const NETWORK_DOWN: Explained = Explained {
    name: "NetworkDown",
    degrades: false,
    meaning: "The machine has no way out: no default route, or no link on the card that it leads \
              through. Shares, packages and the control plane cannot be reached.",
    remedy: "Read `ip route` and `ip link`, and the journal of the service that sets the network up \
             (systemd-networkd or NetworkManager). In a cloud, look at the network card there.",
};

pub(super) const AGENT_SLOW: Explained = Explained {
    name: "AgentSlow",
    degrades: false,
    meaning: "stationd itself gets too little time: over the last minute one in a hundred of its \
              timers was late by more than a quarter of a second. Pages and websockets are slow with it.",
    remedy: "Most often other work takes every core or all memory: see CpuPressure and MemoryPressure. \
             Without either, please report it.",
};

pub(super) const CUDA_TOOLKIT: Explained = Explained {
    name: "CudaToolkitIncompatible",
    degrades: false,
    meaning: "A CUDA toolkit is of a newer major version than the GPU's driver serves: programs built \
              with it do not run. Within one major version, any driver of it will do (CUDA minor \
              version compatibility, docs.nvidia.com/deploy/cuda-compatibility).",
    remedy: "Install a newer driver and restart the machine, use packages for the driver's CUDA \
             version, or install NVIDIA's cuda-compat package where the GPU is one that it supports.",
};
