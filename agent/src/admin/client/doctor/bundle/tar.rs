//! Pure: plain files as a tar archive, in the format of POSIX.1 (`ustar`), which every tar reads.

/// The unit of an archive.
const BLOCK: usize = 512;
/// A name that is longer would need the format's second field for it.
const NAME: usize = 100;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// A path without a leading `/`, 100 bytes at most.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// All of them, as files that only their owner may read, made at `seconds` since the epoch.
pub(super) fn archive(entries: &[Entry], seconds: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries {
        all.extend(head(entry, seconds));
        all.extend(&entry.bytes);
        all.resize(all.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks end an archive.
    all.resize(all.len() + 2 * BLOCK, 0);
    all
}

fn head(entry: &Entry, seconds: u64) -> [u8; BLOCK] {
    let mut head = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        if let Some(place) = head.get_mut(at..at + text.len()) {
            place.copy_from_slice(text);
        }
    };
    let name = entry.name.as_bytes();
    put(0, name.get(..NAME).unwrap_or(name));
    put(100, b"0000600\0");
    // User and group 0: whoever unpacks it gets the files.
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", entry.bytes.len()).as_bytes());
    put(136, format!("{seconds:011o}\0").as_bytes());
    // The sum is made with blanks in its own place.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(265, b"root");
    put(297, b"root");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(place) = head.get_mut(148..156) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_padded_and_heads_have_the_sum_that_readers_check() {
        let entries = [
            Entry { name: "b/a.txt".into(), bytes: b"hello".to_vec() },
            Entry { name: "b/empty".into(), bytes: Vec::new() },
        ];
        let all = archive(&entries, 1);
        assert_eq!(all.len(), BLOCK * 5);
        assert_eq!(&all[BLOCK..BLOCK + 6], b"hello\0");
        assert_eq!(&all[..8], b"b/a.txt\0");
        assert_eq!(&all[124..136], b"00000000005\0");
        let mut head = all[..BLOCK].to_vec();
        let said = String::from_utf8(head[148..154].to_vec()).unwrap();
        head[148..156].fill(b' ');
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(u32::from_str_radix(&said, 8).unwrap(), sum);
    }
}
