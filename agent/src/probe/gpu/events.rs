//! What the driver reports by itself: Xids, a GPU that went away, another recovery action.
//!
//! The kernel's log is the record of Xids (the driver tells only the latest of several); events are
//! for machines where it cannot be read, or where a virtual GPU writes none.

use nvml_wrapper_sys::bindings::{
    nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeGpuRecoveryAction as RECOVERY,
    nvmlEventTypeGpuUnavailableError as UNAVAILABLE, nvmlEventTypeXidCriticalError as XID,
};

use super::card::{Card, ask, checked};
use super::{Code, Event, EventKind, codes};

/// How long one wait takes: the driver is asked twelve times a minute.
const WAIT_MS: u32 = 5000;

/// A set of events for the GPUs that support any.
pub(super) struct Events<'l> {
    cards: Vec<(Card<'l>, String)>,
    set: nvmlEventSet_t,
}

// SAFETY: NVML is safe to be called from several threads (nvml.h), and a handle is only a name.
unsafe impl Send for Events<'_> {}

impl<'l> Events<'l> {
    /// Registers every GPU that reports what is wanted; `None` if none does.
    pub(super) fn register(cards: &[(Card<'l>, String)]) -> Option<Self> {
        let (first, _) = cards.first()?;
        let create = first.library.nvmlEventSetCreate.as_ref().ok()?;
        let mut set: nvmlEventSet_t = std::ptr::null_mut();
        // SAFETY: it fills one handle.
        checked(unsafe { create(&raw mut set) }).ok()?;
        let mut registered = Vec::new();
        for (card, pci) in cards {
            if register(*card, set).is_ok() {
                registered.push((*card, pci.clone()));
            }
        }
        (!registered.is_empty()).then_some(Self { cards: registered, set })
    }

    /// The next event; `None` after a wait without one.
    pub(super) fn next(&self) -> Result<Option<Event>, Code> {
        let Some((first, _)) = self.cards.first() else { return Err(codes::NOT_FOUND) };
        let wait = first.library.nvmlEventSetWait_v2.as_ref();
        let wait = wait.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
        // SAFETY: a structure of numbers and a pointer; all zeros is one.
        let mut data: nvmlEventData_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is of this library, and `data` is what its header asks for.
        let code = unsafe { wait(self.set, &raw mut data, WAIT_MS) };
        match checked(code) {
            Ok(()) => Ok(self.told(&data)),
            Err(codes::TIMEOUT) => Ok(None),
            Err(code) => Err(code),
        }
    }

    fn told(&self, data: &nvmlEventData_t) -> Option<Event> {
        let known = self.cards.iter().find(|(card, _)| card.handle == data.device);
        let pci = known.map(|(_, pci)| pci.clone());
        let kind = u32::try_from(data.eventType).ok()?;
        let what = match kind {
            XID => EventKind::Xid(u32::try_from(data.eventData).ok()?),
            UNAVAILABLE => EventKind::Unavailable,
            RECOVERY => EventKind::RecoveryAction,
            _ => return None,
        };
        Some(Event { pci, what })
    }
}

fn register(card: Card<'_>, set: nvmlEventSet_t) -> Result<(), Code> {
    let supported = ask!(card, nvmlDeviceGetSupportedEventTypes => std::ffi::c_ulonglong)?;
    let wanted = supported & u64::from(XID | UNAVAILABLE | RECOVERY);
    if wanted == 0 {
        return Err(codes::NOT_SUPPORTED);
    }
    let function = card.library.nvmlDeviceRegisterEvents.as_ref();
    let function = function.map_err(|_missing| codes::FUNCTION_NOT_FOUND)?;
    // SAFETY: handle and set are of this library.
    checked(unsafe { function(card.handle, wanted, set) })
}
