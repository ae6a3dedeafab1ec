//! Pure: the message of Xid 154. It sums up what the driver wants after other Xids:
//! `GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)`.

use super::Remedy;

/// What it asks for now; `None` if the text has another form or a number that is not known here.
pub fn asked(detail: &str) -> Option<Remedy> {
    let change = detail.strip_prefix("GPU recovery action changed from ")?;
    let (_before, now) = change.split_once(" to 0x")?;
    match now.split(' ').next()? {
        "0" => Some(Remedy::None),
        // Reset, at once or when the programs on it have ended.
        "1" | "4" => Some(Remedy::ResetGpu),
        "2" => Some(Remedy::RestartNode),
        // Programs that reach it from other GPUs have to end.
        "3" => Some(Remedy::RestartApp),
        _later => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_action_counts() {
        for (text, expected) in [
            ("0x0 (None) to 0x1 (GPU Reset Required)", Some(Remedy::ResetGpu)),
            ("0x0 (None) to 0x2 (Node Reboot Required)", Some(Remedy::RestartNode)),
            ("0x0 (None) to 0x3 (Drain P2P)", Some(Remedy::RestartApp)),
            ("0x0 (None) to 0x4 (Drain and Reset)", Some(Remedy::ResetGpu)),
            ("0x4 (Drain and Reset) to 0x0 (None)", Some(Remedy::None)),
            ("0x0 (None) to 0x2", Some(Remedy::RestartNode)),
            ("0x0 (None) to 0x9 (Something New)", None),
            ("0x0 (None) to 0x12 (Something New)", None),
            ("0x0 (None) to 0x", None),
            ("0x2", None),
            ("", None),
        ] {
            let text = format!("GPU recovery action changed from {text}");
            assert_eq!(asked(&text), expected, "{text}");
        }
        assert_eq!(asked("0x0 (None) to 0x2 (Node Reboot Required)"), None);
    }
}
