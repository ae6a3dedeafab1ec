//! Pure: finds what the driver writes into the kernel's log. Whoever may write there may write
//! anything, so every length has a limit.

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Xid(Seen),
    /// Said without a code, too.
    FallenOffBus {
        pci: String,
    },
    InitFailed {
        pci: String,
    },
}

/// An Xid in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Without the function: `0000:00:06`.
    pub pci: String,
    pub code: u32,
    pub pid: Option<i32>,
    pub process: Option<String>,
    pub detail: String,
}

/// The longest name of a process, and the most of a message, in characters.
const NAME: usize = 64;
const DETAIL: usize = 256;
const FALLEN: &str = "fallen off the bus";

/// What a message of the kernel says about a GPU, if it is one.
pub fn parse(text: &str) -> Option<Line> {
    let (_before, rest) = text.split_once("NVRM: ")?;
    if let Some(xid) = rest.strip_prefix("Xid (") {
        return xid_of(xid).map(Line::Xid);
    }
    let pci = rest.split([' ', ',']).find_map(place)?;
    if rest.contains(FALLEN) {
        Some(Line::FallenOffBus { pci })
    } else {
        rest.contains("RmInitAdapter failed").then_some(Line::InitFailed { pci })
    }
}

/// `PCI:0000:00:06): 31, pid=619, name=x, …`
fn xid_of(text: &str) -> Option<Seen> {
    let (place_text, rest) = text.split_once("): ")?;
    let pci = place(place_text)?;
    let (code, rest) = rest.split_once(',').unwrap_or((rest, ""));
    let code = code.trim().parse().ok()?;
    let mut detail = rest.trim_start();
    let mut field = |name: &str| {
        let after = detail.strip_prefix(name)?;
        let (value, rest) = after.split_once(',').unwrap_or((after, ""));
        detail = rest.trim_start();
        Some(value.trim_matches('\''))
    };
    let pid = field("pid=").and_then(|pid| pid.parse().ok());
    let process = field("name=").filter(|name| !name.is_empty() && *name != "<unknown>");
    Some(Seen {
        pci,
        code,
        pid,
        process: process.map(|name| name.chars().take(NAME).collect()),
        detail: detail.chars().take(DETAIL).collect(),
    })
}

/// `PCI:0000:00:06`, `0000:00:06` or `0000:00:06.0:`, without the function.
fn place(text: &str) -> Option<String> {
    let text = text.strip_prefix("PCI:").unwrap_or(text).trim_end_matches(':');
    let text = text.split('.').next().unwrap_or(text);
    let mut parts = text.split(':');
    let all = [(4, parts.next()), (2, parts.next()), (2, parts.next())];
    let hex = |(length, part): (usize, Option<&str>)| {
        part.is_some_and(|part| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    (all.into_iter().all(hex) && parts.next().is_none()).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(code: u32, pid: Option<i32>, process: Option<&str>, detail: &str) -> Line {
        let (pci, process) = ("0000:00:06".to_owned(), process.map(str::to_owned));
        Line::Xid(Seen { pci, code, pid, process, detail: detail.to_owned() })
    }

    #[test]
    fn lines_of_real_drivers() {
        let check =
            |text: &str, expected: Option<Line>| assert_eq!(parse(text), expected, "{text}");
        check(
            "NVRM: Xid (PCI:0000:00:06): 31, pid=619, name=x, channel 0x0000000a, intr 00000000. MMU Fault",
            Some(seen(31, Some(619), Some("x"), "channel 0x0000000a, intr 00000000. MMU Fault")),
        );
        check(
            "NVRM: Xid (0000:00:06): 14, Channel 00000001",
            Some(seen(14, None, None, "Channel 00000001")),
        );
        check(
            "NVRM: Xid (PCI:0000:00:06): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
            Some(seen(79, None, None, "GPU has fallen off the bus.")),
        );
        check(
            "NVRM: Xid (PCI:0000:00:06): 43, pid='1234', name=python3, Ch 8",
            Some(seen(43, Some(1234), Some("python3"), "Ch 8")),
        );
        check("NVRM: Xid (PCI:0000:00:06): 62", Some(seen(62, None, None, "")));
        let pci = || "0000:65:00".to_owned();
        check(
            "NVRM: GPU at PCI:0000:65:00: GPU has fallen off the bus",
            Some(Line::FallenOffBus { pci: pci() }),
        );
        check(
            "NVRM: GPU 0000:65:00.0: GPU has fallen off the bus.",
            Some(Line::FallenOffBus { pci: pci() }),
        );
        check(
            "NVRM: GPU 0000:65:00.0: RmInitAdapter failed! (0x22:0x56:742)",
            Some(Line::InitFailed { pci: pci() }),
        );
        check("NVRM: GPU at PCI:0000:65:00: GPU-65fd8035-4aa8-edeb-e282-ac7fe5fdb90c", None);
        check("NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.159.04", None);
        check("usb 1-1: new device", None);
    }

    #[test]
    fn hostile_lines_are_cut_or_refused() {
        for bad in [
            "NVRM: Xid (",
            "NVRM: Xid ()): 31",
            "NVRM: Xid (PCI:../../etc): 31",
            "NVRM: Xid (PCI:0000:00:06): -1",
            "NVRM: Xid (PCI:0000:00:06): 99999999999",
            "NVRM: Xid (PCI:0000:00:0ü): 31",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        let long = "ä".repeat(10_000);
        let Some(Line::Xid(seen)) =
            parse(&format!("NVRM: Xid (PCI:0000:00:06): 31, pid=1, name={long}, {long}"))
        else {
            panic!("an Xid")
        };
        assert_eq!(seen.process.unwrap().chars().count(), NAME);
        assert_eq!(seen.detail.chars().count(), DETAIL);
    }
}
