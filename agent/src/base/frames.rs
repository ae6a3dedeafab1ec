//! Reads websocket frame headers as bytes pass, and alters nothing. Pure.
//!
//! It knows where frames end, so that a Close can be placed between two of them, and tells data
//! from keep-alive, so that a quiet page that only pings does not count as work.

/// Frames that began in the bytes just read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Text and binary messages and their continuations.
    pub data: u32,
    /// Ping, pong and close.
    pub control: u32,
}

/// The place in one direction of a websocket.
#[derive(Debug, Default, Clone)]
pub struct Frames {
    header: [u8; HEADER_BYTES],
    have: u8,
    /// Bytes left of the frame whose header is complete.
    left: u64,
    /// The stream is not websocket framing (a length over 2^63): nothing more is read into it.
    lost: bool,
    /// A Close has begun: it is the last frame, RFC 6455 section 5.5.1.
    closed: bool,
    /// A message has begun whose last fragment has not.
    fragmented: bool,
}

/// A frame that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Of a text or binary message; else ping, pong or close.
    pub data: bool,
    /// The last of its message.
    pub last: bool,
}

/// The first two bytes and the longest length; the mask counts as payload.
const HEADER_BYTES: usize = 10;

impl Frames {
    /// Follows the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        while !bytes.is_empty() && !self.lost {
            let (taken, _) = self.advance(bytes, &mut seen);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        seen
    }

    /// Follows bytes as far as the present frame goes: how many those are, and the frame if that was
    /// its end.
    pub fn to_end_of_frame(&mut self, bytes: &[u8]) -> (usize, Option<Frame>) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.lost {
                return (bytes.len(), None);
            }
            let (taken, ended) = self.advance(rest, &mut Seen::default());
            at += taken;
            if ended {
                let [first, ..] = self.header;
                return (at, Some(Frame { data: first & 0x08 == 0, last: first & 0x80 != 0 }));
            }
        }
        (at, None)
    }

    /// One step through at least one byte: a byte of a header, or what there is of a payload. Tells
    /// how many bytes, and whether they end a frame.
    fn advance(&mut self, bytes: &[u8], seen: &mut Seen) -> (usize, bool) {
        if self.left > 0 {
            let here = usize::try_from(self.left).map_or(bytes.len(), |l| l.min(bytes.len()));
            self.left -= here as u64;
            return (here, self.left == 0);
        }
        let Some(&byte) = bytes.first() else { return (0, false) };
        self.header_byte(byte, seen);
        (1, self.at_boundary())
    }

    /// A frame has ended and the next has not begun.
    pub fn at_boundary(&self) -> bool {
        !self.lost && self.left == 0 && self.have == 0
    }

    /// A message has ended and the next has not begun.
    pub fn between_messages(&self) -> bool {
        self.at_boundary() && !self.fragmented
    }

    /// A Close has gone through.
    pub fn closed(&self) -> bool {
        self.closed
    }

    fn header_byte(&mut self, byte: u8, seen: &mut Seen) {
        if let Some(place) = self.header.get_mut(usize::from(self.have)) {
            *place = byte;
        }
        self.have += 1;
        let [first, second, length @ ..] = self.header;
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if usize::from(self.have) < 2 + wide {
            return;
        }
        let payload = match wide {
            2 => u64::from(u16::from_be_bytes([length[0], length[1]])),
            8 => u64::from_be_bytes(length),
            _ => u64::from(second & 0x7f),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        self.have = 0;
        self.lost = payload >> 63 == 1;
        self.left = payload.saturating_add(mask);
        self.closed |= first & 0x0f == 0x08;
        if first & 0x08 == 0 {
            seen.data += 1;
            self.fragmented = first & 0x80 == 0;
        } else {
            seen.control += 1;
        }
    }
}

/// A Close frame as a server sends it.
pub const fn close(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}

/// The same as a client sends it: masked, as RFC 6455 section 5.1 wants. The mask of zeros hides
/// nothing, and there is nothing to hide.
pub const fn close_masked(code: u16) -> [u8; 8] {
    let [high, low] = code.to_be_bytes();
    [0x88, 0x82, 0, 0, 0, 0, high, low]
}

/// "Going away": the proxy stops; clients reconnect.
pub const GOING_AWAY: u16 = 1001;
/// "Policy violation": the session has ended.
pub const POLICY: u16 = 1008;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match payload {
            0..=125 => bytes.push(mask | u8::try_from(payload).unwrap()),
            126..=0xffff => {
                bytes.push(mask | 0x7e);
                bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 0x7f);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0x81; payload + if masked { 4 } else { 0 }]);
        bytes
    }

    proptest! {
        #[test]
        fn frames_are_counted_wherever_they_are_cut(
            plan in proptest::collection::vec((0_u8..16, 0_usize..70_000, any::<bool>()), 0..6),
            cut in 1_usize..5_000,
        ) {
            let whole: Vec<u8> = plan.iter().flat_map(|(o, n, m)| frame(*o, *n, *m)).collect();
            let mut frames = Frames::default();
            let mut sum = Seen::default();
            for piece in whole.chunks(cut) {
                let seen = frames.feed(piece);
                sum.data += seen.data;
                sum.control += seen.control;
            }
            let control = plan.iter().filter(|(opcode, ..)| opcode & 8 != 0).count();
            prop_assert_eq!(sum.control as usize, control);
            prop_assert_eq!(sum.data as usize, plan.len() - control);
            prop_assert!(frames.at_boundary());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Frames::default().feed(&bytes);
        }
    }

    #[test]
    fn inside_a_frame_is_no_boundary() {
        let whole = frame(1, 300, true);
        for cut in 1..whole.len() {
            let mut frames = Frames::default();
            frames.feed(&whole[..cut]);
            assert!(!frames.at_boundary(), "{cut}");
        }
    }

    #[test]
    fn frames_are_told_at_their_end_and_messages_at_their_last_frame() {
        let mut first = frame(1, 3, false);
        first[0] &= 0x7f;
        let ping = frame(9, 0, false);
        let last = frame(0, 200, false);
        let whole = [first.clone(), ping.clone(), last.clone()].concat();
        for cut in 1..=whole.len() {
            let (mut frames, mut ends) = (Frames::default(), Vec::new());
            for (n, piece) in whole.chunks(cut).enumerate() {
                let mut at = 0;
                while at < piece.len() {
                    let (taken, frame) = frames.to_end_of_frame(&piece[at..]);
                    at += taken;
                    ends.extend(frame.map(|f| (n * cut + at, f.data, f.last)));
                    assert_eq!(frames.between_messages(), n * cut + at == whole.len());
                }
            }
            let (a, b) = (first.len(), first.len() + ping.len());
            assert_eq!(ends, [(a, true, false), (b, false, true), (whole.len(), true, true)]);
        }
    }

    #[test]
    fn the_close_frame() {
        assert_eq!(close(GOING_AWAY), [0x88, 0x02, 0x03, 0xe9]);
        for frame in [&close(GOING_AWAY)[..], &close_masked(POLICY)] {
            let mut frames = Frames::default();
            frames.feed(&frame[..1]);
            assert!(!frames.closed());
            frames.feed(&frame[1..]);
            assert!(frames.closed() && frames.at_boundary());
        }
    }
}
