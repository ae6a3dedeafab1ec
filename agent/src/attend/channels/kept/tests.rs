//! What is said again, after every way in which a connection can end.

use proptest::prelude::*;

use super::*;

/// A frame with a payload of one repeated letter.
fn frame(first: u8, letter: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    if let Some(length) = u8::try_from(length).ok().filter(|length| *length < 126) {
        bytes.push(length);
    } else {
        bytes.push(127);
        bytes.extend((length as u64).to_be_bytes());
    }
    bytes.extend(vec![letter; length]);
    bytes
}

fn text(letter: u8) -> Vec<u8> {
    frame(0x81, letter, 10)
}

const PING: [u8; 2] = [0x89, 0];
const CLOSE: [u8; 4] = [0x88, 2, 3, 0xe9];
/// Of the frames of `text`.
const LENGTH: usize = 12;

/// What one connection of stationd gets; `taken` of it is sent, `through` acknowledged.
fn with(said: &[u8], taken: usize, through: usize) -> Kept {
    let mut kept = Kept::default();
    kept.said(said);
    kept.sent(taken);
    kept.acknowledged(through as u64);
    kept
}

fn again(mut kept: Kept) -> Vec<u8> {
    assert!(!kept.rewind());
    kept.unsent().to_vec()
}

#[test]
fn what_is_not_acknowledged_is_said_again_from_the_beginning_of_its_message() {
    let said = [text(b'a'), text(b'b'), text(b'c')].concat();
    let cases = [
        (0, 0, 0),
        (LENGTH * 3, 0, 0),
        (LENGTH * 3, LENGTH - 1, 0),
        (LENGTH * 3, LENGTH, 1),
        (LENGTH * 3, LENGTH + 1, 1),
        (LENGTH * 3, LENGTH * 3, 3),
        // More than was sent cannot be through.
        (LENGTH, LENGTH * 3, 1),
        (LENGTH + 1, LENGTH * 3, 1),
    ];
    for (taken, through, messages) in cases {
        let kept = with(&said, taken, through);
        assert_eq!(kept.unsent(), &said[taken..], "{taken} {through}");
        assert_eq!(again(kept), &said[LENGTH * messages..], "{taken} {through}");
    }
}

#[test]
fn ping_pong_and_close_are_said_once() {
    let said = [&PING[..], &text(b'a'), &PING, &text(b'b'), &CLOSE].concat();
    assert_eq!(again(with(&said, 5, 0)), [text(b'a'), text(b'b')].concat());
    // They hold back nothing, and are held back by nothing.
    assert!(with(&PING, 2, 2).is_empty());
    assert_eq!(with(&said, said.len(), PING.len() + LENGTH + PING.len()).len(), LENGTH + 4);
}

#[test]
fn a_message_of_several_frames_is_said_again_as_a_whole() {
    let parts = [frame(0x01, b'a', 3), PING.to_vec(), frame(0x00, b'b', 3), frame(0x80, b'c', 3)];
    let said = [text(b'x'), parts.concat(), text(b'y')].concat();
    let whole = [&parts[0][..], &parts[2], &parts[3], &text(b'y')].concat();
    for through in LENGTH..LENGTH + parts.concat().len() {
        assert_eq!(again(with(&said, said.len(), through)), whole, "{through}");
    }
    let through = LENGTH + parts.concat().len();
    assert_eq!(again(with(&said, said.len(), through)), text(b'y'));
}

#[test]
fn a_frame_that_is_on_its_way_goes_on_with_the_next_connection() {
    let said = [text(b'a'), text(b'b')].concat();
    for cut in LENGTH..said.len() {
        let mut kept = with(&said[..cut], cut, LENGTH);
        assert!(!kept.rewind());
        kept.said(&said[cut..]);
        assert_eq!(kept.unsent(), text(b'b'), "{cut}");
        kept.sent(LENGTH);
        kept.acknowledged(LENGTH as u64);
        assert!(kept.is_empty());
    }
}

#[test]
fn what_the_app_broke_off_is_left_out() {
    let said = [&text(b'a')[..], &PING, &frame(0x01, b'b', 3), &CLOSE[..3]].concat();
    let mut kept = with(&said, said.len(), 0);
    assert!(!kept.ended());
    assert!(!kept.rewind());
    // The next connection to the app begins anew.
    kept.said(&text(b'c'));
    assert_eq!(kept.unsent(), [text(b'a'), text(b'c')].concat());
}

#[test]
fn a_message_too_large_to_be_kept_goes_through_and_is_lost_at_an_end_in_between() {
    let large = frame(0x82, b'l', limits::KEPT_BYTES * 3);
    let said = [text(b'a'), large, text(b'b')].concat();
    let through = |upto: usize| {
        let (mut kept, mut got) = (Kept::default(), Vec::new());
        for piece in said[..upto].chunks(64 * 1024) {
            kept.said(piece);
            got.extend_from_slice(kept.unsent());
            kept.sent(piece.len());
            assert!(kept.len() <= limits::KEPT_BYTES);
        }
        assert_eq!(got, said[..upto]);
        kept
    };
    // Inside of it: what follows it is said, whichever connection its end belongs to.
    let mut kept = through(limits::KEPT_BYTES * 2);
    assert!(kept.rewind());
    kept.said(&said[limits::KEPT_BYTES * 2..]);
    assert_eq!(kept.unsent(), text(b'b'));
    let mut kept = through(limits::KEPT_BYTES * 2);
    assert!(kept.ended());
    assert!(!kept.rewind());
    kept.said(&text(b'c'));
    assert_eq!(kept.unsent(), text(b'c'));
    // Behind it, and not acknowledged.
    let mut kept = through(said.len());
    assert!(kept.rewind());
    assert_eq!(kept.unsent(), text(b'b'));
    // Acknowledged to its end, nothing of it is missing.
    let mut kept = through(said.len());
    kept.acknowledged((said.len() - LENGTH) as u64);
    assert!(!kept.rewind());
    assert_eq!(kept.unsent(), text(b'b'));
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Said(usize),
    Sent(usize),
    Through(usize),
    /// stationd is killed, and another one comes.
    Killed,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_usize..40).prop_map(Act::Said),
        4 => (1_usize..40).prop_map(Act::Sent),
        4 => (1_usize..40).prop_map(Act::Through),
        1 => Just(Act::Killed),
    ]
}

/// The whole messages in what one connection has given to the client.
fn received(bytes: &[u8]) -> Vec<u8> {
    let (mut frames, mut at, mut letters) = (Frames::default(), 0, Vec::new());
    while at < bytes.len() {
        let begin = at;
        let (taken, frame) = frames.to_end_of_frame(&bytes[at..]);
        at += taken;
        letters.extend(frame.filter(|frame| frame.data).map(|_| bytes[begin + 2]));
    }
    letters
}

proptest! {
    /// Where every byte that reaches the client is acknowledged, each message arrives once and in
    /// order, whenever stationd is killed.
    #[test]
    fn nothing_is_lost_and_nothing_doubled(acts in proptest::collection::vec(act(), 0..200)) {
        let said: Vec<u8> = (b'!'..=b'~')
            .flat_map(|n| if n % 5 == 0 { PING.to_vec() } else { frame(0x81, n, usize::from(n % 7) + 1) })
            .collect();
        let expect = received(&said);
        let (mut kept, mut said_to, mut letters) = (Kept::default(), 0, Vec::new());
        // Of this connection: what stationd has, and how much of it has reached the client.
        let (mut has, mut reached) = (Vec::new(), 0);
        for act in acts {
            match act {
                Act::Said(count) => {
                    let end = (said_to + count).min(said.len());
                    kept.said(&said[said_to..end]);
                    said_to = end;
                }
                Act::Sent(count) => {
                    let count = count.min(kept.unsent().len());
                    has.extend_from_slice(&kept.unsent()[..count]);
                    kept.sent(count);
                }
                Act::Through(count) => {
                    reached = (reached + count).min(has.len());
                    kept.acknowledged(reached as u64);
                }
                Act::Killed => {
                    letters.extend(received(&has[..reached]));
                    (has, reached) = (Vec::new(), 0);
                    prop_assert!(!kept.rewind());
                }
            }
        }
        letters.extend(received(&has[..reached]));
        kept.said(&said[said_to..]);
        kept.rewind();
        letters.extend(received(kept.unsent()));
        prop_assert_eq!(letters, expect);
    }
}
