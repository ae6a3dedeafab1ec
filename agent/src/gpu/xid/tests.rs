//! The catalogue as a whole.

use super::*;

fn all() -> impl Iterator<Item = &'static Xid> {
    PARTS.iter().copied().flatten()
}

#[test]
fn every_code_is_there_once_and_in_order() {
    let codes: Vec<u16> = all().map(|xid| xid.code).collect();
    assert_eq!(codes, (1..=172).collect::<Vec<u16>>());
    assert_eq!(COUNT, 172);
    for xid in all() {
        assert_eq!(lookup(xid.code), Some(xid));
    }
    for other in [0, 173, u16::MAX] {
        assert_eq!(lookup(other), None);
    }
}

#[test]
fn names_are_symbols_and_meanings_one_sentence() {
    let mut names: Vec<&str> = all().map(|xid| xid.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), COUNT);
    let symbol = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    for Xid { name, meaning, .. } in all() {
        assert!(name.chars().all(symbol), "{name}");
        assert!(meaning.ends_with('.') && meaning.len() <= 140, "{name}: {meaning}");
        assert!(!meaning.trim_end_matches('.').contains(". "), "{name}: {meaning}");
    }
}

#[test]
fn the_first_action_is_that_of_the_catalogue() {
    let buckets: [(Remedy, &[u16]); 12] = [
        (
            Remedy::RestartApp,
            &[
                8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83,
                84, 85, 86, 88, 89, 94, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 126, 127,
                128, 129, 130, 131, 132, 133, 134, 135, 139,
            ],
        ),
        (
            Remedy::None,
            &[
                14, 37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153,
                157, 160, 161,
            ],
        ),
        // 48 and 74 are procedures that begin with it.
        (
            Remedy::ResetGpu,
            &[46, 48, 62, 64, 74, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158],
        ),
        (Remedy::StopStart, &[79]),
        (Remedy::RestartNode, &[151]),
        (Remedy::CheckMechanicals, &[54]),
        (Remedy::UpdateSoftware, &[78]),
        (Remedy::ContactSupport, &[142]),
        (Remedy::FollowOthers, &[45]),
        (Remedy::FollowRecovery, &[154]),
        (Remedy::DecodeLink, &[144, 145, 146, 147, 148, 149, 150]),
        (Remedy::CheckUvm, &[159]),
    ];
    for (remedy, codes) in buckets {
        // Without the reserved ones, and those for which the catalogue names nothing.
        let stated = all().filter(|xid| xid.remedy == remedy && xid.code < 162);
        let used = stated.filter(|xid| {
            !xid.meaning.starts_with("Reserved") || xid.remedy != Remedy::ContactSupport
        });
        assert_eq!(used.map(|xid| xid.code).collect::<Vec<u16>>(), codes, "{remedy:?}");
    }
}

#[test]
fn reserved_codes_are_no_news() {
    let reserved: Vec<u16> =
        all().filter(|xid| xid.meaning.starts_with("Reserved")).map(|xid| xid.code).collect();
    assert_eq!(reserved.len(), 63);
    for code in [1, 14, 30, 56, 65, 91, 108, 111, 125, 138] {
        assert!(reserved.contains(&code), "{code}");
    }
    for code in reserved {
        let xid = lookup(code).unwrap();
        assert_eq!((xid.severity, xid.app_error, xid.sticky), (Severity::Info, false, false));
    }
}

#[test]
fn errors_of_programs_and_what_holds() {
    for xid in all() {
        let app = xid.remedy == Remedy::RestartApp || matches!(xid.code, 43 | 45 | 109);
        assert_eq!(xid.app_error, app, "{}", xid.code);
    }
    let sticky: Vec<u16> = all().filter(|xid| xid.sticky).map(|xid| xid.code).collect();
    let expected = [
        46, 48, 54, 62, 64, 74, 78, 79, 95, 109, 110, 119, 120, 136, 140, 143, 144, 145, 146, 147,
        148, 149, 150, 151, 154, 155, 156, 158, 165, 167, 168, 169,
    ];
    assert_eq!(sticky, expected);
    // What calls for a reset or more is grave, and what calls for nothing is not.
    for xid in all() {
        let grave = xid.severity >= Severity::Critical;
        match xid.remedy {
            Remedy::ResetGpu | Remedy::RestartNode | Remedy::StopStart => assert!(grave),
            Remedy::None | Remedy::RestartApp => assert!(!grave, "{}", xid.code),
            _other => {}
        }
    }
}

#[test]
fn categories_of_the_provider() {
    let with: Vec<(u16, &str)> =
        all().filter_map(|xid| Some((xid.code, xid.provider_category?))).collect();
    let expected = [
        (48, "XID48DoubleBitECC"),
        (64, "HpcRowRemapFailure"),
        (74, "NvLink"),
        (79, "XID79FallenOffBus"),
        (94, "XID94ContainedECCError"),
        (95, "XID95UncontainedECCError"),
        (136, "NvLink"),
    ];
    assert_eq!(with, expected);
}

#[test]
fn the_message_says_more_than_the_code() {
    let of = |code: u16, detail: &str| {
        let (pci, detail) = ("0000:00:06".to_owned(), detail.to_owned());
        judge(&Seen { pci, code, pid: None, process: None, detail })
    };
    let changed = |to: &str| format!("GPU recovery action changed from 0x1 (x) to {to}");
    let reboot = changed("0x2 (Node Reboot Required)");
    let link = |unit: &str| format!("{unit} XC0 i0 Link 00 (0x00000004 0x00000001)");
    for (code, detail, expected) in [
        (154, reboot.clone(), (Severity::Fatal, Remedy::RestartNode, false, true)),
        (154, changed("0x4 (Drain)"), (Severity::Critical, Remedy::ResetGpu, false, true)),
        (154, changed("0x0 (None)"), (Severity::Info, Remedy::None, false, false)),
        (145, link("RLW_REMAP Fatal"), (Severity::Critical, Remedy::ResetGpu, false, true)),
        (145, link("RLW_REMAP Nonfatal"), (Severity::Warning, Remedy::RestartApp, true, false)),
        (149, link("NETIR_BER_EVENT Nonfatal"), (Severity::Info, Remedy::None, false, false)),
    ] {
        let xid = of(code, &detail).unwrap();
        let said = (xid.severity, xid.remedy, xid.app_error, xid.sticky);
        assert_eq!(said, expected, "{detail}");
        assert_eq!(xid.name, lookup(code).unwrap().name);
    }
    // Without such a message the code alone decides.
    for (code, detail) in [(154, "x"), (145, "RLW_REMAP"), (79, &reboot), (31, &link("X Fatal"))] {
        assert_eq!(of(code, detail).as_ref(), lookup(code), "{detail}");
    }
    assert_eq!(of(173, ""), None);
}

#[test]
fn what_to_do_is_said_in_a_sentence() {
    for xid in all() {
        let sentence = xid.remedy.sentence();
        assert_eq!(sentence.is_empty(), xid.remedy == Remedy::None, "{}", xid.code);
        assert!(sentence.is_empty() || sentence.ends_with('.'), "{sentence}");
    }
}
