//! Pure: what the error codes of NVIDIA's driver mean, and what to do.
//!
//! An Xid is a message of the driver in the kernel's log. Codes, and what NVIDIA advises for each, are
//! those of its catalogue (<https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html>, 172
//! codes); the words are ours. Codes that NVIDIA lists as unused have one row.
//!
//! Not here: the sub-codes of 144 to 150 (links of the fifth kind), which need NVIDIA's own tables.

pub mod line;
mod table;

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It happened, and nothing is wrong.
    Info,
    /// Work was lost, or will be if it comes again.
    Warning,
    /// The GPU, or part of it, cannot be trusted until something is done.
    Critical,
    /// The GPU cannot be used.
    Fatal,
}

/// What NVIDIA advises first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    Nothing,
    RestartApp,
    ResetGpu,
    RestartMachine,
    UpdateSoftware,
    CheckHardware,
    ContactSupport,
    /// Look at what came with it.
    SeeOthers,
}

impl Remedy {
    /// For people; empty if there is nothing to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::RestartApp => {
                "Restart the program that it names; if other programs meet it too, restart the \
                 machine."
            }
            Self::ResetGpu => {
                "End what uses the GPU, then `nvidia-smi --gpu-reset -i INDEX`, or restart the \
                 machine."
            }
            Self::RestartMachine => {
                "Restart the machine; if it comes back, stop and start it from outside, so that \
                 it gets other hardware."
            }
            Self::UpdateSoftware => "Bring the driver of the guest and of the host up to date.",
            Self::CheckHardware => "Check that the card's power cables are connected.",
            Self::ContactSupport => {
                "If it comes again, tell the provider or NVIDIA, with the output of \
                 nvidia-bug-report.sh."
            }
            Self::SeeOthers => "Do what the other Xids of the same moment ask for.",
        }
    }
}

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xid {
    pub code: u32,
    pub meaning: &'static str,
    pub severity: Severity,
    pub remedy: Remedy,
    /// Most often caused by the program that used the GPU.
    pub app_error: bool,
}

/// What a code means; `None` if NVIDIA's catalogue does not have it.
pub fn lookup(code: u32) -> Option<Xid> {
    let row = table::ROWS.iter().find(|row| row.codes.contains(&code))?;
    Some(Xid {
        code,
        meaning: row.meaning,
        severity: row.severity,
        remedy: row.remedy,
        app_error: matches!(row.remedy, Remedy::RestartApp) || row.app_error,
    })
}
