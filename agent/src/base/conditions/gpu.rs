//! What the conditions of GPUs and of their driver mean.

use super::Explained;

pub(super) const DRIVER_NOT_LOADED: Explained = Explained {
    name: "GpuDriverNotLoaded",
    degrades: true,
    meaning: "There is an NVIDIA GPU in the machine, and its driver is not loaded or its management \
              library is missing, so nothing can use the GPU.",
    remedy: "Install the driver of the distribution or of NVIDIA, `modprobe nvidia`, and read \
             `dmesg | grep NVRM` if that fails (Secure Boot refuses modules without a signature).",
};

pub(super) const DRIVER_MISMATCH: Explained = Explained {
    name: "GpuDriverMismatch",
    degrades: true,
    meaning: "The loaded driver and NVIDIA's libraries are of different versions, most often since \
              a package was upgraded while the old driver stayed loaded. New programs cannot use \
              the GPUs; running ones go on.",
    remedy: "Restart the machine when it suits. Hold the driver's packages back from unattended \
             upgrades.",
};

pub(super) const DRIVER_FAILED: Explained = Explained {
    name: "GpuDriverFailed",
    degrades: true,
    meaning: "The driver is loaded and cannot be initialised.",
    remedy: "Read `dmesg | grep NVRM`; restart the machine, and reinstall the driver if that does \
             not help.",
};

pub(super) const DRIVER_UNRESPONSIVE: Explained = Explained {
    name: "GpuDriverUnresponsive",
    degrades: true,
    meaning: "A call of the driver does not return. Programs that use the GPU may hang in the same \
              way; such a process can often not be ended.",
    remedy: "Save what runs on other GPUs, then restart the machine; `dmesg | grep NVRM` may tell \
             more.",
};

pub(super) const GPU_LOST: Explained = Explained {
    name: "GpuLost",
    degrades: true,
    meaning: "A GPU is in the machine, or was, and cannot be reached any more.",
    remedy: "Restart the machine; if the GPU stays lost, stop and start it from outside, so that \
             it gets other hardware, and tell the provider.",
};

pub(super) const GPU_COUNT: Explained = Explained {
    name: "GpuCountMismatch",
    degrades: true,
    meaning: "The driver lists fewer GPUs than there are on the PCI bus, or another number than \
              `gpu.expected` in the configuration says.",
    remedy: "Read `dmesg | grep NVRM` for the one that is missing; restart the machine. If it stays \
             away, stop and start the machine from outside, and tell the provider.",
};

pub(super) const PROCESS_STUCK: Explained = Explained {
    name: "GpuProcessStuck",
    degrades: true,
    meaning: "A process that uses a GPU has waited in the kernel for half a minute or longer and \
              cannot be ended, not even by SIGKILL. What it holds of the GPU stays held.",
    remedy: "Read `dmesg | grep NVRM` for what the driver says. Save what runs on other GPUs, then \
             restart the machine: nothing less frees the process.",
};

pub(super) const GPU_RESET: Explained = Explained {
    name: "GpuNeedsReset",
    degrades: true,
    meaning: "The driver asks for a reset of a GPU before it can be used again.",
    remedy: "End what uses it (`stationctl gpu` lists it), then `nvidia-smi --gpu-reset -i INDEX`, \
             or restart the machine.",
};

pub(super) const GPU_REBOOT: Explained = Explained {
    name: "GpuNeedsReboot",
    degrades: true,
    meaning: "The driver asks for a restart of the machine before a GPU can be used again.",
    remedy: "Save the work and restart the machine.",
};

pub(super) const GPU_MEMORY: Explained = Explained {
    name: "GpuMemoryDegraded",
    degrades: false,
    meaning: "The memory of a GPU has errors that its error correction could not mend, or is about \
              to run out of spare parts. Results since then may be wrong.",
    remedy: "Restart the machine, so that bad rows are replaced. If it comes back, stop and start \
             the machine from outside, so that it gets another GPU, and tell the provider.",
};

pub(super) const GPU_XID: Explained = Explained {
    name: "GpuXid",
    degrades: false,
    meaning: "The driver wrote an error message (Xid) about a GPU within the last ten minutes, or \
              one that counts until the next restart.",
    remedy: "Do what the message says; `stationctl gpu` shows all of them.",
};

pub(super) const GPU_THROTTLED: Explained = Explained {
    name: "GpuThrottled",
    degrades: false,
    meaning: "The hardware slows a GPU down, because of its power supply or an emergency brake.",
    remedy: "Nothing here helps if the machine is virtual: tell the provider. Else check power \
             cables and supply.",
};

pub(super) const GPU_HOT: Explained = Explained {
    name: "GpuThermal",
    degrades: false,
    meaning: "A GPU is so hot that it slows itself down, or is about to.",
    remedy: "Lower the load or the power limit (`nvidia-smi -pl`); check fans and air flow.",
};

pub(super) const GPU_PCIE: Explained = Explained {
    name: "GpuPcieDegraded",
    degrades: false,
    meaning: "The connection of a GPU to the machine has fewer lanes than both sides can do, or \
              reports fatal errors. Copies to and from the GPU are slower.",
    remedy: "Restart the machine; reseat the card, or tell the provider.",
};

pub(super) const NVLINK: Explained = Explained {
    name: "NvlinkDegraded",
    degrades: false,
    meaning: "Some of the links between GPUs are down, or a switch between them has failed. Jobs on \
              several GPUs are slower or fail.",
    remedy: "Restart the machine; if it stays, tell the provider.",
};

pub(super) const FABRIC: Explained = Explained {
    name: "GpuFabricNotReady",
    degrades: true,
    meaning: "The GPUs form a fabric, and one has not joined it. CUDA cannot be used until it has.",
    remedy: "Read `systemctl status nvidia-fabricmanager`: it must run, in the driver's version.",
};

pub(super) const PERSISTENCE_OFF: Explained = Explained {
    name: "GpuPersistenceOff",
    degrades: false,
    meaning: "The driver switches a GPU off while nobody uses it, so that each program waits \
              seconds for its start. stationd keeps it on while it runs.",
    remedy: "`systemctl enable --now nvidia-persistenced`.",
};

pub(super) const MIG_PENDING: Explained = Explained {
    name: "GpuMigPending",
    degrades: false,
    meaning: "MIG was switched on or off, and is not in force before the next reset of the GPU.",
    remedy: "End what uses the GPU, then `nvidia-smi --gpu-reset -i INDEX`, or restart the machine.",
};

pub(super) const GPU_UNREADABLE: Explained = Explained {
    name: "GpuUnreadable",
    degrades: false,
    meaning: "The driver refuses to tell some values of a GPU that it has, so that its health is \
              not fully known.",
    remedy: "`stationctl gpu --json` names the calls and their codes; read `dmesg | grep NVRM`.",
};
