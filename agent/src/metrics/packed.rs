//! Pure: gzip of a text of which all but the beginning is compressed already.
//!
//! A gzip file is one stream of deflate's blocks (RFC 1951, RFC 1952). Blocks that end at a byte and look
//! back at nothing before them may be put one after the other, and checksums of parts give that of the
//! whole: so a text that is kept is compressed once.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// A text as blocks of deflate, none of them the last.
#[derive(Debug)]
pub(super) struct Packed {
    blocks: Bytes,
    sum: Crc,
}

/// Between the fastest and the smallest.
const LEVEL: Compression = Compression::new(4);
/// No name, no time, system unknown.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block: empty.
const LAST: [u8; 2] = [3, 0];
/// A stored block holds at most so much.
const STORED: usize = 65_535;

impl Packed {
    /// `None` if it cannot be compressed.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut compress = Compress::new(LEVEL, false);
        let mut blocks = Vec::with_capacity(text.len() / 4 + 64);
        let mut done = 0;
        loop {
            let status = compress.compress_vec(text.get(done..)?, &mut blocks, FlushCompress::Sync);
            done = usize::try_from(compress.total_in()).ok()?;
            let room = blocks.capacity() > blocks.len();
            match status.ok()? {
                // With room left nothing is held back.
                Status::Ok | Status::BufError if done == text.len() && room => break,
                Status::StreamEnd => return None,
                Status::Ok | Status::BufError => blocks.reserve(text.len() / 8 + 64),
            }
        }
        let mut sum = Crc::new();
        sum.update(text);
        Some(Self { blocks: blocks.into(), sum })
    }

    /// gzip of `before`, followed by this text, in three pieces.
    pub(super) fn after(&self, before: &[u8]) -> [Bytes; 3] {
        let mut head = HEAD.to_vec();
        let mut sum = Crc::new();
        sum.update(before);
        for part in before.chunks(STORED) {
            // A block that is stored as it is: its kind, its length, and that again with every bit turned.
            let length = u16::try_from(part.len()).unwrap_or_default();
            head.push(0);
            head.extend(length.to_le_bytes());
            head.extend((!length).to_le_bytes());
            head.extend(part);
        }
        sum.combine(&self.sum);
        let mut end = LAST.to_vec();
        end.extend(sum.sum().to_le_bytes());
        end.extend(sum.amount().to_le_bytes());
        [head.into(), self.blocks.clone(), end.into()]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpacked(pieces: &[Bytes]) -> String {
        let whole = pieces.concat();
        let mut text = String::new();
        // One member, and nothing after it.
        let mut reader = flate2::bufread::GzDecoder::new(whole.as_slice());
        reader.read_to_string(&mut text).unwrap();
        assert!(reader.into_inner().is_empty());
        text
    }

    #[test]
    fn a_kept_text_follows_whatever_came_before() {
        let long = (0..20_000).map(|n| format!("a_{} {n}\n", n % 7)).collect::<Vec<_>>().concat();
        for kept in ["", "x", &long] {
            let packed = Packed::of(kept.as_bytes()).unwrap();
            for before in ["", "before\n", &long] {
                let pieces = packed.after(before.as_bytes());
                assert_eq!(unpacked(&pieces), format!("{before}{kept}"));
            }
        }
        let packed = Packed::of(long.as_bytes()).unwrap();
        assert!(packed.blocks.len() < long.len() / 3, "{}", packed.blocks.len());
    }
}
