//! Pure: reads the lines that NVIDIA's drivers write into the kernel's log.
//!
//! Whoever may write there (root, or a container with `/dev/kmsg`) may write anything: a line
//! counts only if it begins as the drivers begin theirs, what is taken from it has a limit and no
//! control characters, and nothing that it says is trusted further.
//!
//! The name of a process is its own choice. One with a comma and a space in it ends there, the rest
//! is part of the detail: the line does not tell them apart.
//!
//! Not here: what a code means (`super`), and which GPU has that place on the bus. The instance of
//! a divided GPU (MIG) that stands beside the place is dropped.

/// The most characters of a process's name and of a detail.
const NAME: usize = 64;
const DETAIL: usize = 256;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Xid(Seen),
    /// Said without a code, too; some lines name no GPU.
    FallenOffBus {
        pci: Option<String>,
    },
    /// The driver could not take up a GPU; old drivers do not say which.
    InitFailed {
        pci: Option<String>,
    },
    /// An error of an `NVSwitch`. Only the first line of each: those with `Data` and `Severity`
    /// that follow it are no news.
    Sxid {
        pci: String,
        code: u16,
        fatal: bool,
    },
}

/// An Xid in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Domain, bus and device: `0000:00:06`.
    pub pci: String,
    pub code: u16,
    pub pid: Option<i32>,
    pub process: Option<String>,
    pub detail: String,
}

/// What a message of the kernel says about a GPU, if it does.
pub fn parse(line: &str) -> Option<Line> {
    let text = without_stamp(line.trim());
    match text.strip_prefix("NVRM: ") {
        Some(rest) => driver(rest.trim_start()),
        None => switch(text),
    }
}

/// Without `[  123.456789] `, which dmesg puts before a message.
fn without_stamp(line: &str) -> &str {
    let rest = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match rest {
        Some((stamp, text)) if stamp.chars().all(|c| matches!(c, '0'..='9' | '.' | ' ')) => text,
        _other => line,
    }
}

fn driver(text: &str) -> Option<Line> {
    if let Some(rest) = text.strip_prefix("Xid (") {
        return xid(rest).map(Line::Xid);
    }
    // Three lines of one record, or three records: the place is in the first, the fall in the last.
    let pci = || text.split_whitespace().take(8).find_map(|word| Some(place(word)?.0));
    if text.contains("fallen off the bus") {
        Some(Line::FallenOffBus { pci: pci() })
    } else if text.contains("RmInitAdapter failed") {
        Some(Line::InitFailed { pci: pci() })
    } else {
        None
    }
}

/// `PCI:0000:00:06): 31, pid=619, name=x, …`
fn xid(text: &str) -> Option<Seen> {
    let (at, rest) = text.split_once("): ")?;
    let (pci, instance) = place(at)?;
    if !(instance.is_empty() || instance.starts_with(' ')) {
        return None;
    }
    let (code, rest) = rest.split_once(',').unwrap_or((rest, ""));
    let code = number(code)?;
    let (pid, rest) = field(rest, "pid=");
    let (process, rest) = field(rest, "name=");
    Some(Seen {
        pci,
        code,
        pid: pid.and_then(number),
        process: process.filter(|name| *name != "<unknown>").and_then(|name| {
            let name = clean(name, NAME);
            (!name.is_empty()).then_some(name)
        }),
        detail: clean(rest, DETAIL),
    })
}

/// `nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Fatal, Link 30 …`
fn switch(text: &str) -> Option<Line> {
    let (device, rest) = text.strip_prefix("nvidia-nvswitch")?.split_once(": SXid (")?;
    number::<u16>(device)?;
    let (at, rest) = rest.split_once("): ")?;
    let (pci, after) = place(at)?;
    let mut fields = rest.split(", ");
    let code = number(fields.next()?)?;
    let fatal = match fields.next()? {
        "Fatal" => true,
        "Non-fatal" | "Correctable" => false,
        _continued => return None,
    };
    after.is_empty().then_some(Line::Sxid { pci, code, fatal })
}

/// The value of a leading `name=value, ` or `name='value', `, and what follows it.
fn field<'a>(text: &'a str, name: &str) -> (Option<&'a str>, &'a str) {
    let text = text.trim_start();
    match text.strip_prefix(name) {
        Some(after) => {
            let (value, rest) = after.split_once(", ").unwrap_or((after, ""));
            (Some(value.trim_matches('\'')), rest)
        }
        None => (None, text),
    }
}

/// Digits only: the standard parsers take a sign as well.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A place on the bus at the start of a text, without its function, and what follows: from
/// `PCI:0000:00:06`, `00000000:65:00.0:` or `18:00.0`.
fn place(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix("PCI:").unwrap_or(text);
    let end = text.find(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.'));
    let (place, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    let place = place.trim_end_matches(':');
    let place = match place.split_once('.') {
        Some((place, function)) if function.len() == 1 => place,
        Some(_more) => return None,
        None => place,
    };
    let parts: Vec<&str> = place.splitn(4, ':').collect();
    let (domain, bus, device) = match parts.as_slice() {
        [bus, device] => ("0", *bus, *device),
        [domain, bus, device] => (*domain, *bus, *device),
        _other => return None,
    };
    let two = bus.len() == 2 && device.len() == 2;
    let domain = u32::from_str_radix(domain, 16).ok()?;
    let pci = format!("{domain:04x}:{bus}:{device}").to_ascii_lowercase();
    two.then_some((pci, rest))
}

/// At most so many characters, none of which steers a terminal.
fn clean(text: &str, most: usize) -> String {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.trim_matches(blank).chars().take(most).map(plain).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
