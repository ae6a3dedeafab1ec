//! What the reader accepts and refuses, whole and cut at every place.

use super::*;
use proptest::prelude::*;

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: Chunked\r\n\r\n\
                       5\r\nhello\r\n1F\r\n0123456789012345678901234567890\r\n0\r\nA: b\r\n\r\n";

fn fed(text: &str) -> Framing {
    let mut framing = Framing::default();
    framing.feed(text.as_bytes());
    framing
}

#[test]
fn clean_requests_one_after_the_other() {
    let framing = fed(&[GET, POST, CHUNKED, GET, POST].concat());
    assert_eq!(framing.fault(), None);
    assert_eq!((framing.heads(), framing.phase()), (5, Phase::Idle));
}

#[test]
fn phases() {
    assert_eq!(fed("").phase(), Phase::Idle);
    assert_eq!(fed("GET /").phase(), Phase::Head);
    assert_eq!(fed(&POST[..POST.len() - 1]).phase(), Phase::Body);
    assert_eq!(fed(&CHUNKED[..CHUNKED.len() - 1]).phase(), Phase::Body);
}

#[test]
fn dirty_heads_have_their_fault() {
    let check = |fields: &str, expect: Fault| {
        let text = format!("POST /a HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(fed(&text).fault(), Some(expect), "{text:?}");
        let second = format!("{GET}{text}");
        assert_eq!(fed(&second).fault(), Some(expect), "{second:?}");
    };
    let both = Fault::LengthAndCoding;
    check("Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", both);
    check("Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", both);
    check("Host: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Fault::Length);
    check("Host: x\r\nContent-Length: +5\r\n", Fault::Length);
    check("Host: x\r\nContent-Length: 5, 5\r\n", Fault::Length);
    check("Host: x\r\nContent-Length: \r\n", Fault::Length);
    check("Host: x\r\nTransfer-Encoding: ,chunked\r\n", Fault::Coding);
    check("Host: x\r\nTransfer-Encoding: identity\r\n", Fault::Coding);
    check("Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Fault::Coding);
    check("", Fault::Host);
    check("Host: x\r\nHost: x\r\n", Fault::Host);
    check("Host: x\nA: b\r\n", Fault::BareLineFeed);
    check("Host: x\r\n folded\r\n", Fault::Head);
    check("Host : x\r\n", Fault::Head);
    check("Host: x\r\nA: \0\r\n", Fault::Head);
}

#[test]
fn an_old_version_has_no_coding() {
    let framing = fed("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(framing.fault(), Some(Fault::Coding));
}

#[test]
fn dirty_chunks() {
    let head = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "x\r\n",
        "\r\n",
        "+5\r\n",
        "0x5\r\n",
        "5 \r\nhello",
        "5\nhello",
        "5\r\nhelloX",
        "5;a\r\n",
        "5\r\nhello\n",
        "ffffffffffffffff\r\n",
        "0\r\nA: b\n",
    ] {
        let framing = fed(&format!("{head}{body}"));
        assert_eq!(framing.fault(), Some(Fault::Chunk), "{body:?}");
    }
}

#[test]
fn an_endless_head_is_refused() {
    let mut framing = fed("GET /a HTTP/1.1\r\nHost: x\r\n");
    for _ in 0..=limits::CONNECTION_BUFFER / 16 {
        framing.feed(b"aaaaaaaaaaaaaaaa");
    }
    assert_eq!(framing.fault(), Some(Fault::HeadTooLarge));
}

proptest! {
    #[test]
    fn cuts_change_nothing(cuts in proptest::collection::vec(1_usize..40, 0..40)) {
        let whole = [GET, CHUNKED, POST, GET, CHUNKED].concat();
        let mut framing = Framing::default();
        let mut rest = whole.as_bytes();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            framing.feed(piece);
            rest = after;
        }
        framing.feed(rest);
        prop_assert_eq!(framing.fault(), None);
        prop_assert_eq!((framing.heads(), framing.phase()), (5, Phase::Idle));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut framing = Framing::default();
        framing.feed(&bytes);
    }
}
