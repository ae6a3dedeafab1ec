//! Pure: an image of one program, which says a word and ends.

/// Where it lies in the image, and what it says.
pub(super) const PROGRAM: &str = "/canary";
pub(super) const SAYS: &str = "1\n";

/// Bytes of the headers before the instructions.
const HEADERS: u64 = 0x78;
/// Where the program is in memory.
const BASE: u64 = 0x0040_0000;
/// A block of a tar file.
const BLOCK: usize = 512;

/// `write(1, "1\n", 2); exit(0)` for x86-64: the text follows the last instruction.
const X86_64: &[u8] = &[
    0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1 (write)
    0xbf, 0x01, 0x00, 0x00, 0x00, // mov edi, 1
    0x48, 0x8d, 0x35, 0x10, 0x00, 0x00, 0x00, // lea rsi, [rip + 16]
    0xba, 0x02, 0x00, 0x00, 0x00, // mov edx, 2
    0x0f, 0x05, // syscall
    0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60 (exit)
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
    b'1', b'\n',
];

/// The same for 64-bit ARM.
const AARCH64: &[u8] = &[
    0x20, 0x00, 0x80, 0xd2, // mov x0, 1
    0xe1, 0x00, 0x00, 0x10, // adr x1, 28
    0x42, 0x00, 0x80, 0xd2, // mov x2, 2
    0x08, 0x08, 0x80, 0xd2, // mov x8, 64 (write)
    0x01, 0x00, 0x00, 0xd4, // svc 0
    0x00, 0x00, 0x80, 0xd2, // mov x0, 0
    0xa8, 0x0b, 0x80, 0xd2, // mov x8, 93 (exit)
    0x01, 0x00, 0x00, 0xd4, // svc 0
    b'1', b'\n',
];

/// The image as `docker import` takes it, for a processor as Rust names it; `None` for another one.
pub(super) fn tar(architecture: &str) -> Option<Vec<u8>> {
    let program = match architecture {
        "x86_64" => elf(62, X86_64),
        "aarch64" => elf(183, AARCH64),
        _ => return None,
    };
    let mut all = header(PROGRAM.trim_start_matches('/'), program.len());
    all.extend(&program);
    // Whole blocks, then two of zeros.
    let whole = all.len().div_ceil(BLOCK) + 2;
    all.resize(whole * BLOCK, 0);
    Some(all)
}

/// A static program of one segment: elf(5).
pub(super) fn elf(machine: u16, instructions: &[u8]) -> Vec<u8> {
    let size = HEADERS + instructions.len() as u64;
    let mut all = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    all.extend(2_u16.to_le_bytes()); // an executable
    all.extend(machine.to_le_bytes());
    all.extend(1_u32.to_le_bytes());
    all.extend((BASE + HEADERS).to_le_bytes()); // where it begins
    all.extend(64_u64.to_le_bytes()); // the segment's header
    all.extend([0; 12]); // no sections, no flags
    for number in [64_u16, 56, 1, 0, 0, 0] {
        all.extend(number.to_le_bytes());
    }
    all.extend(1_u32.to_le_bytes()); // to be loaded
    all.extend(5_u32.to_le_bytes()); // readable, executable
    for number in [0, BASE, BASE, size, size, 0x1000] {
        all.extend(number.to_le_bytes());
    }
    all.extend(instructions);
    all
}

/// The header of a file that everybody may run, as POSIX has it (ustar).
fn header(name: &str, size: usize) -> Vec<u8> {
    let mut all = vec![0; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        for (place, byte) in all.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, b"0");
    put(257, b"ustar\x0000");
    // The sum is made with blanks in its own place.
    put(148, b"        ");
    let sum: u32 = all.iter().copied().map(u32::from).sum();
    for (place, byte) in all.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").as_bytes()) {
        *place = *byte;
    }
    all
}
