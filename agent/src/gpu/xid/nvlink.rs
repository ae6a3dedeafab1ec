//! Pure: the messages of Xids 144 to 150, errors of the links between GPUs since Blackwell
//! (`NVLink` 5). What to do stands not in the code but in the message:
//!
//! `NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x00000000 …)`: the unit (older drivers and
//! those from 575 on name some differently), whether it is fatal, across containment, injected,
//! which link, then registers: what interrupted, the status of the error, and data.
//!
//! The catalogue decodes them in a table of some ninety rows. They come down to this: what is fatal
//! needs a reset, what is not needs nothing, but for the exceptions in [`Fault::remedy`]. An error
//! that can be either (`RLW_RXPIPE`) is taken at the word of the message.

use super::Remedy;

/// The longest name of a unit.
const UNIT: usize = 32;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The part of the link's hardware that reports it: `RLW_REMAP`.
    pub unit: String,
    pub fatal: bool,
    /// `None` if it concerns no link in particular.
    pub link: Option<u8>,
    /// Why a link went down, in bits 20 to 25 of the first register.
    pub reason: u8,
    /// One bit for each error that the unit knows.
    pub status: u32,
}

/// Reads the detail of an Xid; `None` for other codes, and for a text that has another form.
pub fn decode(code: u16, detail: &str) -> Option<Fault> {
    if !(144..=150).contains(&code) {
        return None;
    }
    let (head, registers) = detail.split_once('(')?;
    let (unit, fatal, rest) = match head.split_once(" Nonfatal ") {
        Some((unit, rest)) => (unit, false, rest),
        None => head.split_once(" Fatal ").map(|(unit, rest)| (unit, true, rest))?,
    };
    let unit = unit.trim();
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | ' ');
    if unit.is_empty() || unit.len() > UNIT || !unit.chars().all(named) {
        return None;
    }
    let (_containment, link) = rest.split_once("Link ")?;
    let mut registers = registers.split([' ', ')']).filter(|word| !word.is_empty());
    let info = register(registers.next()?)?;
    Some(Fault {
        unit: unit.to_owned(),
        fatal,
        link: link.trim().parse().ok(),
        reason: u8::try_from(info >> 20 & 0x3f).ok()?,
        status: register(registers.next()?)?,
    })
}

fn register(word: &str) -> Option<u32> {
    u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

impl Fault {
    /// What the catalogue says to do first.
    pub fn remedy(&self) -> Remedy {
        let unit = self.unit.as_str();
        let down = unit.starts_with("NETIR_LINK_");
        match (self.fatal, unit) {
            // The link went down for what host or software did.
            (true, _) if down && matches!(self.reason, 0x26 | 0x28) => Remedy::None,
            (true, _) => Remedy::ResetGpu,
            // A program loses its memory on another GPU. Xid 154 says what to do; without one it is
            // to be started again.
            (false, "RLW_REMAP") if self.status & 0x3f != 0 => Remedy::RestartApp,
            (false, "RLW_SRC_TRACK") if self.status & 0xc != 0 => Remedy::RestartApp,
            (false, _) => Remedy::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_real_drivers() {
        let text = "NETIR_LINK_EVT  Fatal   XC0 i0 Link 15 (0x0215e5c6 0x00000000 0x00000000 \
                    0x00000000 0x00000000 0x00000000)";
        let unit = "NETIR_LINK_EVT".to_owned();
        let fault = Fault { unit, fatal: true, link: Some(15), reason: 0x21, status: 0 };
        assert_eq!(decode(149, text), Some(fault));
        let text = "RLW_REMAP Nonfatal XC1 i0 Link -1 (0x00000004 0x80000001)";
        let unit = "RLW_REMAP".to_owned();
        let fault = Fault { unit, fatal: false, link: None, reason: 0, status: 0x8000_0001 };
        assert_eq!(decode(145, text), Some(fault));
        assert_eq!(decode(143, text), None);
        assert_eq!(decode(151, text), None);
        let text = "MSE Degraded Fatal XC0 i0 Link -1 (0x00000000 0xffffffff)";
        assert_eq!(decode(150, text).unwrap().unit, "MSE Degraded");
    }

    #[test]
    fn what_to_do_is_that_of_the_catalogue() {
        use Remedy::{None as Nothing, ResetGpu, RestartApp};
        // What the units call fatal, and not, with the first register and the status.
        let rows: [(u16, &str, u32, u32, Remedy); 29] = [
            (144, "SAW_MVB Nonfatal", 0x21, 0x1, Nothing),
            (144, "SAW_MVB Fatal", 0x21, 0x2, ResetGpu),
            (144, "SAW_MVB Fatal", 0x1, 0x10, ResetGpu),
            (145, "RLW_CTRL Nonfatal", 0x62, 0x8000_0000, Nothing),
            (145, "RLW_REMAP Nonfatal", 0x82, 0x1, RestartApp),
            (145, "RLW_REMAP Nonfatal", 0x82, 0x20, RestartApp),
            (145, "RLW_REMAP Fatal", 0x82, 0x40, ResetGpu),
            (145, "RLW_REMAP Nonfatal", 0x82, 0x100, Nothing),
            (145, "RLW_RXPIPE Nonfatal", 0xc2, 0x1, Nothing),
            (145, "RLW_RXPIPE Fatal", 0x4c2, 0x1, ResetGpu),
            (145, "RLW_SRC_TRACK Nonfatal", 0xe2, 0x2, Nothing),
            (145, "RLW_SRC_TRACK Nonfatal", 0xe2, 0x4, RestartApp),
            (145, "RLW_SRC_TRACK Nonfatal", 0xe2, 0x8, RestartApp),
            (145, "RLW_SRC_TRACK Fatal", 0xe2, 0x10, ResetGpu),
            (146, "TLW_RX_PIPE1 Fatal", 0xb, 0x4, ResetGpu),
            (146, "TLW_TX Nonfatal", 0x163, 0x2, Nothing),
            (146, "TLW_CTRL Fatal", 0x0260_0009, 0x4, ResetGpu),
            (149, "NETIR_LINK_EVT/NETIR_LINK_DOWN Fatal", 0x0280_0011, 0, Nothing),
            (147, "TREX Nonfatal", 0x184, 0x1, Nothing),
            (148, "NVLPW Nonfatal", 0xf, 0x8000_0000, Nothing),
            (149, "NETIR_INT Fatal", 0x18, 0, ResetGpu),
            (149, "NETIR_BER_EVENT Nonfatal", 0x13, 0x3, Nothing),
            (149, "NETIR_LINK_DOWN Fatal", 0x11, 0, ResetGpu),
            (149, "NETIR_LINK_EVT Fatal", 0x0210_01c6, 0, ResetGpu),
            (149, "NETIR_LINK_DOWN Fatal", 0x0260_0011, 0, Nothing),
            (149, "NETIR_LINK_EVT Fatal", 0x0280_01c6, 0, Nothing),
            (149, "NETIR_MFDE_EVENT Fatal", 0x14, 0x4, ResetGpu),
            (149, "NETIR_MFDE_EVENT Nonfatal", 0x14, 0x3, Nothing),
            (150, "MSE_WATCHDOG Fatal", 0, 0, ResetGpu),
        ];
        for (code, words, info, status, expected) in rows {
            let text = format!("{words} XC0 i0 Link 00 ({info:#010x} {status:#010x} 0x00000000)");
            assert_eq!(decode(code, &text).unwrap().remedy(), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_have_no_sub_code() {
        for text in [
            "",
            "(",
            " Fatal ",
            " Fatal Link (",
            " Fatal XC0 i0 Link 00 (0x00000004 0x1)",
            "RLW_REMAP Fatal XC0 i0 Link 00",
            "RLW_REMAP Fatal XC0 i0 Link 00 (",
            "RLW_REMAP Fatal XC0 i0 Link 00 (0x00000004)",
            "RLW_REMAP Fatal XC0 i0 Link 00 (0x00000004 12)",
            "RLW_REMAP Fatal XC0 i0 Link 00 (0x100000004 0x1)",
            "RLW_REMAP Mild XC0 i0 Link 00 (0x00000004 0x1)",
            "RLW_REMÄP Fatal XC0 i0 Link 00 (0x00000004 0x1)",
            "AVERYLONGNAMEOFAUNITTHATNOBODYHAS Fatal XC0 i0 Link 00 (0x00000004 0x1)",
        ] {
            assert_eq!(decode(145, text), None, "{text}");
        }
    }
}
