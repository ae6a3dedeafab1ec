//! Pure: what the error codes of NVIDIA's driver mean, and what to do about each.
//!
//! An Xid is a numbered report of the driver in the kernel's log: something went wrong on a GPU, in
//! the program that used it, or on the way between. Codes, symbolic names and the first thing to do
//! are those of NVIDIA's catalogue (<https://docs.nvidia.com/deploy/xid-errors/>, its table under
//! `analyzing-xid-catalog.html`, 172 codes without a gap); the sentences are ours. Where the
//! catalogue asks for a procedure and not for one action, the row says what its first step is.
//!
//! Newer drivers know codes above 172 that the catalogue does not have yet: `lookup` has none of
//! them, and they are still to be reported.
//!
//! Not here: the codes of `NVSwitch` (`SXid`), of which only the line is read (`line`); the bits of
//! the registers that Xid 74 prints.

pub mod line;
pub mod nvlink;
pub mod recovery;
mod to_110;
mod to_150;
mod to_172;
mod to_60;

use line::Seen;

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It happened, and nothing is wrong.
    Info,
    /// Work was lost, or will be if it comes again; the GPU goes on.
    Warning,
    /// The GPU, or a part of it, cannot be trusted until something is done.
    Critical,
    /// The GPU cannot be used.
    Fatal,
}

/// What the catalogue says to do first; its own word stands in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing (IGNORE).
    None,
    /// End the program and start it again (`RESTART_APP`).
    RestartApp,
    /// Reset the GPU (`RESET_GPU`; also the first step of the procedures for 48 and 74).
    ResetGpu,
    /// Restart the machine, which may be virtual (`RESTART_VM`).
    RestartNode,
    /// Restart the hardware (`RESTART_BM`). From inside a virtual machine this is to stop and start
    /// it from outside, so that it lands on other hardware.
    StopStart,
    /// Bring driver and firmware up to date (`UPDATE_SWFW`).
    UpdateSoftware,
    /// Look at seat and cables of the card (`CHECK_MECHANICALS`).
    CheckMechanicals,
    /// Ask provider or NVIDIA (`CONTACT_SUPPORT`).
    ContactSupport,
    /// It follows from another error: do what that one asks for (`WORKFLOW_XID_45`).
    FollowOthers,
    /// Do what the message names: see [`recovery`] (`XID_154`).
    FollowRecovery,
    /// It depends on the sub-code in the message: see [`nvlink`] (`WORKFLOW_NVLINK5_ERR`).
    DecodeLink,
    /// Reset the GPU if programs use unified memory, else nothing (`CHECK_UVM`).
    CheckUvm,
}

impl Remedy {
    const fn of_app(self) -> bool {
        matches!(self, Self::RestartApp)
    }

    /// What asks for it lasts until it was done.
    const fn of_hardware(self) -> bool {
        use Remedy::{CheckMechanicals, DecodeLink, ResetGpu, RestartNode, StopStart};
        matches!(self, ResetGpu | RestartNode | StopStart | CheckMechanicals | DecodeLink)
    }

    /// For people; empty if there is nothing to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::None => "",
            Self::RestartApp => "Restart the program; if others meet it too, reset the GPU.",
            Self::ResetGpu => {
                "End the programs on the GPU and reset it (nvidia-smi --gpu-reset), or restart the \
                 machine."
            }
            Self::RestartNode => "Restart the machine.",
            Self::StopStart => {
                "Stop the machine (a virtual one from outside, with its hardware given back) and \
                 start it again."
            }
            Self::UpdateSoftware => "Bring the driver, of guest and of host, up to date.",
            Self::CheckMechanicals => "Check that card and power cables sit firmly.",
            Self::ContactSupport => {
                "If it comes again, tell the provider, with the output of nvidia-bug-report.sh."
            }
            Self::FollowOthers => "Do what the other Xids of the same moment ask for.",
            Self::FollowRecovery => "Do what its message names.",
            Self::DecodeLink => "If programs fail or hang, end them and reset the GPU.",
            Self::CheckUvm => "If programs use unified memory, end them and reset the GPU.",
        }
    }
}

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xid {
    pub code: u16,
    /// The symbolic name that the catalogue has for it.
    pub name: &'static str,
    pub meaning: &'static str,
    pub severity: Severity,
    pub remedy: Remedy,
    /// It concerns the program that it names, and not the GPU: the catalogue asks for a restart of
    /// the program, or NVIDIA's device plugin for Kubernetes keeps the GPU in service. Whether the
    /// program is to blame is another question: 94 is an error of memory that hit one program.
    pub app_error: bool,
    /// It holds until the GPU is reset or the machine restarts; else it fades.
    pub sticky: bool,
    /// The category under which Azure takes a report of it (Guest Health Reporting), without the
    /// part that all have.
    pub provider_category: Option<&'static str>,
}

impl Xid {
    const fn app(mut self) -> Self {
        self.app_error = true;
        self
    }

    const fn sticky(mut self) -> Self {
        self.sticky = true;
        self
    }

    const fn category(mut self, category: &'static str) -> Self {
        self.provider_category = Some(category);
        self
    }
}

/// A row of the catalogue; what the remedy implies need not be said again.
const fn row(
    code: u16,
    name: &'static str,
    severity: Severity,
    remedy: Remedy,
    meaning: &'static str,
) -> Xid {
    let (app_error, sticky) = (remedy.of_app(), remedy.of_hardware());
    Xid { code, name, meaning, severity, remedy, app_error, sticky, provider_category: None }
}

/// Work that one program had given to the GPU failed.
const fn job(code: u16, name: &'static str, meaning: &'static str) -> Xid {
    row(code, name, Severity::Warning, Remedy::RestartApp, meaning)
}

/// A code without a use on GPUs of today. Those before Ampere gave some of them, so they are kept.
const fn reserved(code: u16, name: &'static str) -> Xid {
    let meaning = "Reserved: NVIDIA's catalogue lists it as unused.";
    row(code, name, Severity::Info, Remedy::ContactSupport, meaning)
}

/// The same, and the catalogue says that it can be ignored.
const fn ignored(code: u16, name: &'static str) -> Xid {
    let mut xid = reserved(code, name);
    xid.remedy = Remedy::None;
    xid
}

/// In order of the codes.
static PARTS: [&[Xid]; 4] = [to_60::ROWS, to_110::ROWS, to_150::ROWS, to_172::ROWS];

/// How many codes the catalogue has.
pub const COUNT: usize =
    to_60::ROWS.len() + to_110::ROWS.len() + to_150::ROWS.len() + to_172::ROWS.len();

/// What a code means; `None` if the catalogue does not have it.
pub fn lookup(code: u16) -> Option<&'static Xid> {
    PARTS.iter().find_map(|part| {
        let place = part.binary_search_by_key(&code, |xid| xid.code).ok()?;
        part.get(place)
    })
}

/// The row for one that was seen. With 144 to 150 and 154 the message says more than the code, and
/// decides on severity, remedy and how long it holds.
pub fn judge(seen: &Seen) -> Option<Xid> {
    let xid = *lookup(seen.code)?;
    let said = match seen.code {
        154 => recovery::asked(&seen.detail),
        code => nvlink::decode(code, &seen.detail).map(|fault| fault.remedy()),
    };
    let Some(remedy) = said else { return Some(xid) };
    let severity = match remedy {
        Remedy::None => Severity::Info,
        Remedy::RestartApp => Severity::Warning,
        Remedy::RestartNode => Severity::Fatal,
        _reset => Severity::Critical,
    };
    let (app_error, sticky) = (remedy.of_app(), remedy.of_hardware());
    Some(Xid { severity, remedy, app_error, sticky, ..xid })
}

#[cfg(test)]
mod tests;
