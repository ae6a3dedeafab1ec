//! Codes 151 to 172 of the catalogue. For 162 to 172 it names no action; those here are ours, after
//! what it says of the cause, and of 62 and 48 for their like.

use super::{Remedy, Severity, Xid, row};

pub(super) const ROWS: &[Xid] = &[
    row(
        151,
        "ROBUST_CHANNEL_KEY_ROTATION_ERROR",
        Severity::Fatal,
        Remedy::RestartNode,
        "The keys of confidential computing could not be changed.",
    ),
    row(
        152,
        "ROBUST_CHANNEL_DLA_SMMU_ERROR",
        Severity::Info,
        Remedy::None,
        "The accelerator for deep learning (DLA) met an error of address translation.",
    ),
    row(
        153,
        "ROBUST_CHANNEL_DLA_TIMEOUT",
        Severity::Info,
        Remedy::None,
        "The accelerator for deep learning (DLA) ran into its time limit.",
    ),
    row(
        154,
        "GPU_RECOVERY_ACTION_CHANGED",
        Severity::Warning,
        Remedy::FollowRecovery,
        "The driver has changed what it asks for; its message names the action.",
    )
    .sticky(),
    row(
        155,
        "NVLINK_SW_DEFINED_ERROR",
        Severity::Critical,
        Remedy::ResetGpu,
        "Software took a link to another GPU (NVLink) down.",
    ),
    row(
        156,
        "RESOURCE_RETIREMENT_EVENT",
        Severity::Critical,
        Remedy::ResetGpu,
        "A part of the GPU has been marked as bad; it is taken out of use at the next reset.",
    ),
    row(
        157,
        "RESOURCE_RETIREMENT_FAILURE",
        Severity::Warning,
        Remedy::None,
        "A bad part of the GPU could not be taken out of use, for lack of spare parts.",
    ),
    row(
        158,
        "GPU_FATAL_TIMEOUT",
        Severity::Fatal,
        Remedy::ResetGpu,
        "The GPU did not answer in time, and cannot go on.",
    ),
    row(
        159,
        "ROBUST_CHANNEL_CHI_NON_DATA_ERROR",
        Severity::Warning,
        Remedy::CheckUvm,
        "An access over the link between GPU and processor failed.",
    ),
    row(
        160,
        "CHANNEL_RETIREMENT_EVENT",
        Severity::Info,
        Remedy::None,
        "A channel of memory was taken out of use.",
    ),
    row(
        161,
        "CHANNEL_RETIREMENT_FAILURE",
        Severity::Warning,
        Remedy::None,
        "A channel of memory could not be taken out of use.",
    ),
    row(
        162,
        "PSHC_REENGAGED",
        Severity::Info,
        Remedy::None,
        "The circuit that smooths power draw works again.",
    ),
    row(
        163,
        "PSHC_DISENGAGED",
        Severity::Info,
        Remedy::None,
        "The circuit that smooths power draw was switched off, for heat or a time limit.",
    ),
    row(
        164,
        "PSHC_LOW_LIFETIME",
        Severity::Warning,
        Remedy::ContactSupport,
        "The circuit that smooths power draw is near the end of its life.",
    ),
    row(
        165,
        "PSHC_ZERO_LIFETIME",
        Severity::Warning,
        Remedy::ContactSupport,
        "The circuit that smooths power draw has reached the end of its life and is off.",
    )
    .sticky(),
    row(
        166,
        "NVLINK_SECURE_CRYPTO_ERR",
        Severity::Warning,
        Remedy::ContactSupport,
        "Protected data came over a link (NVLink) before its encryption was set up.",
    ),
    row(
        167,
        "PCIE_FATAL_TIMEOUT",
        Severity::Fatal,
        Remedy::RestartNode,
        "The connection between GPU and machine (PCIe) did not answer in time.",
    ),
    row(
        168,
        "REDUCED_GPU_MEMORY_CAPACITY",
        Severity::Critical,
        Remedy::ContactSupport,
        "Bad memory lies in the part that the GPU keeps for itself, so it has less of it.",
    )
    .sticky(),
    row(
        169,
        "SEC2_HALT_ERROR",
        Severity::Fatal,
        Remedy::ResetGpu,
        "The security processor inside the GPU has halted.",
    ),
    row(
        170,
        "NVLINK_SECURE_OTHER",
        Severity::Warning,
        Remedy::ContactSupport,
        "A protected link (NVLink) raised an interrupt under confidential computing.",
    ),
    row(
        171,
        "UNCORRECTABLE_DRAM_ERROR",
        Severity::Critical,
        Remedy::FollowOthers,
        "The memory error that came with it (Xid 48) is in the GPU's main memory.",
    ),
    row(
        172,
        "UNCORRECTABLE_SRAM_ERROR",
        Severity::Critical,
        Remedy::FollowOthers,
        "The memory error that came with it (Xid 48) is in a memory inside the chip.",
    ),
];
