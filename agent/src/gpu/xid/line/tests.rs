//! Lines of real drivers, and lines that none wrote.

use super::*;

fn seen(code: u16, pid: Option<i32>, process: Option<&str>, detail: &str) -> Line {
    let (pci, process) = ("0000:00:06".to_owned(), process.map(str::to_owned));
    Line::Xid(Seen { pci, code, pid, process, detail: detail.to_owned() })
}

fn check(text: &str, expected: impl Into<Option<Line>>) {
    assert_eq!(parse(text), expected.into(), "{text}");
}

#[test]
fn xids() {
    let detail = "channel 0x0000000a, intr 00000000. MMU Fault: ENGINE GRAPHICS GPC0 \
                  GPCCLIENT_T1_8 faulted @ 0x0_00000000. Fault is of type FAULT_PDE \
                  ACCESS_TYPE_VIRT_WRITE";
    let line = format!("NVRM: Xid (PCI:0000:00:06): 31, pid=619, name=x, {detail}");
    check(&line, seen(31, Some(619), Some("x"), detail));
    check(&format!(" [   55.559005] {line}\n"), seen(31, Some(619), Some("x"), detail));
    for (text, expected) in [
        ("(0000:00:06): 14, Channel 00000001", seen(14, None, None, "Channel 00000001")),
        (
            "(PCI:0000:00:06): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
            seen(79, None, None, "GPU has fallen off the bus."),
        ),
        (
            "(PCI:0000:00:06): 43, pid='1234', name=python3, Ch 8",
            seen(43, Some(1234), Some("python3"), "Ch 8"),
        ),
        (
            "(PCI:0000:00:06): 63, pid=1896, Row Remapper: New row marked for remapping",
            seen(63, Some(1896), None, "Row Remapper: New row marked for remapping"),
        ),
        (
            "(PCI:0000:00:06 GPU-I:05 GPU-CI:00): 94, pid=7194, Contained: CE",
            seen(94, Some(7194), None, "Contained: CE"),
        ),
        (
            "(PCI:0000:00:06 GPU-I:05): 45, pid=7, name=my job, Ch 1",
            seen(45, Some(7), Some("my job"), "Ch 1"),
        ),
        ("(PCI:0000:00:06): 62", seen(62, None, None, "")),
        ("(00000000:00:06.0): 62, 0096", seen(62, None, None, "0096")),
        ("(PCI:0000:00:06): 999, later", seen(999, None, None, "later")),
    ] {
        check(&format!("NVRM: Xid {text}"), expected);
    }
}

#[test]
fn gpus_that_are_gone_or_do_not_start() {
    let fallen = |pci: &str| {
        let pci = (!pci.is_empty()).then(|| pci.to_owned());
        Line::FallenOffBus { pci }
    };
    check("NVRM: GPU at PCI:0000:0a:00: GPU has fallen off the bus", fallen("0000:0a:00"));
    check("NVRM: GPU 0000:65:00.0: GPU has fallen off the bus.", fallen("0000:65:00"));
    check("NVRM: GPU 18:00.0: GPU has fallen off the bus.", fallen("0000:18:00"));
    check("NVRM: GPU 10000:B1:00.0: GPU has fallen off the bus.", fallen("10000:b1:00"));
    check("NVRM: fallen off the bus and is not responding to commands.", fallen(""));
    // One record of three lines, as it is in memory and as /dev/kmsg writes it.
    for end in ["\n", "\\x0a"] {
        let text = format!(
            "NVRM: The NVIDIA GPU 0000:18:00.0{end}NVRM: (PCI ID: 10de:2901) installed in this \
             system has{end}NVRM: fallen off the bus and is not responding to commands."
        );
        check(&text, fallen("0000:18:00"));
    }
    let failed = |pci: Option<&str>| Line::InitFailed { pci: pci.map(str::to_owned) };
    check(
        "NVRM: GPU 0000:65:00.0: RmInitAdapter failed! (0x22:0x56:742)",
        failed(Some("0000:65:00")),
    );
    check("NVRM: GPU 0: RmInitAdapter failed! (0x26:0xffff:1290)", failed(None));
    check("NVRM: RmInitAdapter failed! (0x26:0xffff:1290)", failed(None));
}

#[test]
fn switches() {
    let sxid = |code: u16, fatal: bool| {
        let pci = "0000:a9:00".to_owned();
        Some(Line::Sxid { pci, code, fatal })
    };
    for (text, expected) in [
        ("20034, Fatal, Link 30 LTSSM Fault Up", sxid(20034, true)),
        ("12028, Non-fatal, Link 32 egress non-posted PRIV error (First)", sxid(12028, false)),
        ("11012, Correctable, Link 02 x", sxid(11012, false)),
        // The rest of the same report.
        ("20034, Severity 1 Engine instance 30 Sub-engine instance 00", None),
        ("20034, Data {0x50610002, 0x10100030}", None),
        ("20034", None),
        ("99999, Fatal, x", None),
        ("xyz, Fatal error", None),
    ] {
        check(&format!("nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): {text}"), expected);
    }
    check("nvidia-nvswitchü: SXid (PCI:0000:a9:00.0): 20034, Fatal, x", None);
    check("nvidia-nvswitch0: SXid (invalid): 20034, Fatal, x", None);
}

#[test]
fn other_lines() {
    for text in [
        "",
        "NVRM: ",
        "NVRM: GPU at PCI:0000:65:00: GPU-65fd8035-4aa8-edeb-e282-ac7fe5fdb90c",
        "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.159.04",
        "NVRM: GPU 0000:65:00.0: rm_init_adapter failed, device minor number 0",
        "usb 1-1: new device",
        // Words of somebody else: the driver begins its lines itself.
        "usb 1-1: Product: NVRM: Xid (PCI:0000:00:06): 79, GPU has fallen off the bus.",
        "[x] NVRM: Xid (PCI:0000:00:06): 79, x",
        "x[9]: segfault in NVRM: GPU 0000:65:00.0: GPU has fallen off the bus.",
        "usb: nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Fatal, x",
    ] {
        check(text, None);
    }
}

#[test]
fn hostile_lines_are_refused() {
    for text in [
        "",
        ")): 31",
        "): 31",
        "PCI:../../etc/passwd): 31",
        "PCI:0000:00:06): -1",
        "PCI:0000:00:06): +31",
        "PCI:0000:00:06): 65536",
        "PCI:0000:00:06): 99999999999999999999",
        "PCI:0000:00:06): ３１",
        "PCI:0000:00:06): , x",
        "PCI:0000:00:06)31",
        "PCI:0000:00:0ü): 31",
        "PCI:0000:00:06\u{1b}[2J): 31",
        "PCI:0000:00:06.00): 31",
        "PCI:0000:000:06): 31",
        "PCI:123456789:00:06): 31",
        "PCI::00:06): 31",
        "PCI:0:0000:00:06): 31",
        "PCI:PCI:0000:00:06): 31",
    ] {
        check(&format!("NVRM: Xid ({text}"), None);
    }
}

#[test]
fn hostile_values_are_cut_and_cleaned() {
    let of = |text: &str| match parse(&format!("NVRM: Xid (PCI:0000:00:06): 31, {text}")) {
        Some(Line::Xid(seen)) => seen,
        other => panic!("{text}: {other:?}"),
    };
    let long = "ä".repeat(100_000);
    let seen = of(&format!("pid=1, name={long}, {long}"));
    assert_eq!(seen.process.unwrap().chars().count(), 64);
    assert_eq!(seen.detail.chars().count(), 256);
    let seen = of("pid=1, name=a\u{1b}[31mb\0c, \u{7}x\u{9b}y\nz");
    assert_eq!(seen.process.as_deref(), Some("a [31mb c"));
    assert_eq!(seen.detail, "x y z");
    let process = |text: &str| (of(text).pid, of(text).process);
    assert_eq!(process("pid=2147483648, name=x, y"), (None, Some("x".to_owned())));
    assert_eq!(process("pid=-1, name=, y"), (None, None));
    assert_eq!(process("pid=1, name=\u{1b}\u{1b}, y"), (Some(1), None));
    assert_eq!(process("pid=1, name=a,b, c"), (Some(1), Some("a,b".to_owned())));
    // A name that looks like the rest of a line stays a name and a detail.
    let seen = of("pid=1, name=x, GPU): 79, y");
    assert_eq!((seen.code, seen.detail.as_str()), (31, "GPU): 79, y"));
}

/// Each line of a driver, cut after each character and with each character swapped, ends in an
/// answer and no panic, and in nothing longer than the limits.
#[test]
fn broken_lines_get_an_answer() {
    let lines = [
        "[ 5.5] NVRM: Xid (PCI:0000:00:06 GPU-I:05): 31, pid='619', name=xä, channel 0x0a",
        "NVRM: GPU at PCI:0000:0a:00: GPU has fallen off the bus",
        "NVRM: GPU 0000:65:00.0: RmInitAdapter failed! (0x22:0x56:742)",
        "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
    ];
    let mut answers = 0;
    for line in lines {
        let all: Vec<char> = line.chars().collect();
        for place in 0..all.len() {
            for swap in ['\0', 'ü', '🦀', ')', ':', ',', '\'', ' ', '.'] {
                let mut swapped = all.clone();
                swapped[place] = swap;
                let cut: String = all[..place].iter().chain([&swap]).collect();
                for text in [swapped.iter().collect(), cut] {
                    if let Some(Line::Xid(seen)) = parse(&text) {
                        let name = seen.process.unwrap_or_default();
                        assert!(name.chars().count() <= 64, "{text}");
                        assert!(seen.detail.chars().count() <= 256, "{text}");
                        assert!(seen.pci.len() <= 14, "{text}");
                        answers += 1;
                    }
                }
            }
        }
    }
    assert!(answers > 100, "{answers}");
}
