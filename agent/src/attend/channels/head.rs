//! The heads of a kernel websocket's handshake: whose it is, and whether a later one asks for the
//! same. Pure.

use http::header::{
    HOST, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Header fields of a handshake; stationd adds a few to those that it lets in.
const FIELDS: usize = 128;
/// Bytes of a kernel's id and of a session's.
const ID: usize = 256;

/// A kernel and a client's session with it: Jupyter hands over by the two together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    kernel: String,
    session: String,
}

impl Key {
    /// Of `/…/api/kernels/KERNEL/channels?session_id=SESSION`; nothing else is kept.
    pub fn of(target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?')?;
        let mut ends = path.rsplit('/');
        let mut next = |word: &str| ends.next().filter(|end| *end == word);
        next("channels")?;
        let kernel = ends.next()?;
        let mut next = |word: &str| ends.next().filter(|end| *end == word);
        next("kernels")?;
        next("api")?;
        let session = query.split('&').find_map(|pair| pair.strip_prefix("session_id="))?;
        let fits = |id: &str| !id.is_empty() && id.len() <= ID;
        let key = || Self { kernel: kernel.to_owned(), session: session.to_owned() };
        (fits(kernel) && fits(session)).then(key)
    }
}

/// A request for a kernel's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) key: Key,
    /// What Jupyter decides by: the target, who asks from where, and what of the protocol is offered.
    judged: Vec<(String, Vec<u8>)>,
    nonce: Vec<u8>,
}

impl Asked {
    /// `None` if the head is no such request.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        if !request.parse(head).ok()?.is_complete() || request.method != Some("GET") {
            return None;
        }
        let target = request.path?;
        let by = [HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION];
        let mut judged = vec![(String::new(), target.as_bytes().to_vec())];
        let mut nonce = None;
        for field in request.headers.iter() {
            if by.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_str())) {
                judged.push((field.name.to_ascii_lowercase(), field.value.to_vec()));
            } else if field.name.eq_ignore_ascii_case(SEC_WEBSOCKET_KEY.as_str()) {
                nonce = Some(field.value.to_vec());
            }
        }
        Some(Self { key: Key::of(target)?, judged, nonce: nonce? })
    }

    /// Whether Jupyter, which has said yes to `other`, would say the same to this.
    pub(super) fn is_judged_as(&self, other: &Self) -> bool {
        self.judged == other.judged
    }
}

/// The app's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answered {
    /// It is a websocket whose frames can be told apart.
    pub(super) keeps: bool,
    protocol: Option<String>,
}

impl Answered {
    pub(super) fn parse(head: &[u8]) -> Self {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        if answer.parse(head).is_err() || answer.code != Some(101) {
            return Self::default();
        }
        let mut found = Self { keeps: true, protocol: None };
        for field in answer.headers.iter() {
            if field.name.eq_ignore_ascii_case(SEC_WEBSOCKET_EXTENSIONS.as_str()) {
                // Compressed frames depend on those before them: one alone is nothing to its reader.
                found.keeps = false;
            } else if field.name.eq_ignore_ascii_case(SEC_WEBSOCKET_PROTOCOL.as_str()) {
                found.protocol = std::str::from_utf8(field.value).ok().map(str::to_owned);
                found.keeps &= found.protocol.is_some();
            }
        }
        found
    }

    /// The same answer to another request: only the proof of having read it is new.
    pub(super) fn again(&self, asked: &Asked) -> Vec<u8> {
        let accept = derive_accept_key(&asked.nonce);
        let protocol = self.protocol.as_ref();
        let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
            protocol.unwrap_or_default()
        )
        .into_bytes()
    }
}

/// Where a head ends, if it does.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let at = bytes.windows(END.len()).position(|window| window == END)?;
    Some(at + END.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/apps/jupyterlab/api/kernels/k-1/channels?session_id=s-1";

    fn request(target: &str, more: &str) -> Vec<u8> {
        format!(
            "GET {target} HTTP/1.1\r\nHost: a:1\r\nOrigin: http://a:1\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn whose_it_is() {
        let key = |kernel: &str, session: &str| {
            Some(Key { kernel: kernel.to_owned(), session: session.to_owned() })
        };
        let long = format!("/api/kernels/k/channels?session_id={}", "x".repeat(ID + 1));
        let cases = [
            (TARGET, key("k-1", "s-1")),
            ("/api/kernels/k/channels?token=&session_id=s", key("k", "s")),
            ("/api/kernels/k/channels", None),
            ("/api/kernels/k/channels?session_id=", None),
            ("/api/kernels//channels?session_id=s", None),
            ("/api/kernels/k/restart?session_id=s", None),
            ("/api/terminals/k/channels?session_id=s", None),
            ("/terminals/websocket/1", None),
            (&long, None),
        ];
        for (target, expect) in cases {
            assert_eq!(Key::of(target), expect, "{target}");
        }
    }

    #[test]
    fn only_the_same_request_gets_the_same_answer() {
        let first = Asked::parse(&request(TARGET, "")).unwrap();
        let cases = [
            (request(TARGET, "Cookie: a=b\r\n"), true),
            (request(&TARGET.replace('?', "?x=y&"), ""), false),
            (request(TARGET, "Origin: http://b\r\n"), false),
            (request(TARGET, "Sec-WebSocket-Protocol: v1\r\n"), false),
        ];
        for (head, expect) in cases {
            let other = Asked::parse(&head).unwrap();
            let text = String::from_utf8_lossy(&head).into_owned();
            assert_eq!(other.is_judged_as(&first), expect, "{text}");
        }
        for none in ["POST / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /", "\u{1}\r\n\r\n"]
        {
            assert_eq!(Asked::parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn the_answer_is_said_again_with_another_proof() {
        let asked = Asked::parse(&request(TARGET, "")).unwrap();
        let head = |fields: &str| format!("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n{fields}\r\n");
        let answered = Answered::parse(head("sec-websocket-protocol: v1\r\n").as_bytes());
        assert!(answered.keeps);
        let again = String::from_utf8(answered.again(&asked)).unwrap();
        // The pair of RFC 6455 section 1.3.
        assert!(
            again.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{again}"
        );
        assert!(again.contains("Sec-WebSocket-Protocol: v1\r\n"), "{again}");
        assert!(again.ends_with("\r\n\r\n") && end(again.as_bytes()) == Some(again.len()));
        for none in [
            head("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            "HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(),
            "nonsense".to_owned(),
        ] {
            assert!(!Answered::parse(none.as_bytes()).keeps, "{none}");
        }
    }
}
