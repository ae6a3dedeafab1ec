//! The file that says what the fake answers.

use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::park_timeout;
use std::time::Duration;

use serde_json::Value;

const VARIABLE: &str = "STATIOND_FAKE_NVML";
const LOOK: Duration = Duration::from_millis(20);
/// How often an event is looked for. NVIDIA's library waits in the kernel, so this is to cost nothing.
const LOOK_FOR_EVENT: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Script {
    /// Which file was read: its number and when it was changed. Each change makes a new file.
    read: Option<(u64, i64, i64)>,
    value: Value,
}

/// The file as it is now. It is read again only when it is another one, so that what is measured is
/// stationd and not this library.
pub(crate) fn with<R>(look: impl FnOnce(&Value) -> R) -> R {
    static SCRIPT: OnceLock<Mutex<Script>> = OnceLock::new();
    static PATH: OnceLock<Option<String>> = OnceLock::new();
    let script = SCRIPT.get_or_init(Mutex::default);
    let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = PATH.get_or_init(|| std::env::var(VARIABLE).ok())
        && let Ok(found) = std::fs::metadata(path)
    {
        let read = Some((found.ino(), found.mtime(), found.mtime_nsec()));
        if read != script.read {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            *script = Script { read, value: serde_json::from_str(&text).unwrap_or(Value::Null) };
        }
    }
    look(&script.value)
}

/// What a fault in the file makes of a call: a delay, a call that does not return, a return code.
pub(crate) fn fault(function: &str, device: Option<usize>) -> u32 {
    let (code, delay) = with(|script| {
        let found = find(script, function, device);
        let number = |key: &str| found.and_then(|fault| fault[key].as_u64()).unwrap_or(0);
        (number("ret"), number("delay_ms"))
    });
    if delay > 0 {
        park_timeout(Duration::from_millis(delay));
    }
    while with(|script| find(script, function, device).is_some_and(|fault| fault["hang"] == true)) {
        park_timeout(LOOK);
    }
    u32::try_from(code).unwrap_or(999)
}

fn find<'a>(script: &'a Value, function: &str, device: Option<usize>) -> Option<&'a Value> {
    let fits = |fault: &&Value| {
        let name = fault["fn"].as_str().unwrap_or("*");
        let dev = fault["dev"].as_u64().and_then(|dev| usize::try_from(dev).ok());
        (name == "*" || name == function) && (dev.is_none() || dev == device)
    };
    script["faults"].as_array()?.iter().find(fits)
}

/// How many GPUs there are.
pub(crate) fn devices() -> usize {
    with(|script| script["devices"].as_array().map_or(0, Vec::len))
}

/// The numbers that a function fills for a GPU; `usual` where the file has none.
pub(crate) fn numbers<const N: usize>(function: &str, device: usize, usual: [u64; N]) -> [u64; N] {
    with(|script| {
        let set = &script["devices"][device]["set"][function];
        let mut index = 0;
        usual.map(|usual| {
            let value = set[index].as_u64().unwrap_or(usual);
            index += 1;
            value
        })
    })
}

/// A text of a GPU, or of the whole machine.
pub(crate) fn text(device: Option<usize>, key: &str, usual: &str) -> String {
    with(|script| {
        let place = device.map_or(script, |device| &script["devices"][device]);
        place[key].as_str().unwrap_or(usual).to_owned()
    })
}

/// Waits until the event with this number is in the file.
pub(crate) fn event(number: usize, limit: Duration) -> Option<Value> {
    let mut waited = Duration::ZERO;
    loop {
        let found = with(|script| script["events"].as_array()?.get(number).cloned());
        if found.is_some() || waited >= limit {
            return found;
        }
        park_timeout(LOOK_FOR_EVENT);
        waited += LOOK_FOR_EVENT;
    }
}
