//! Follows the framing of the bytes that a client sends and judges every request head.
//!
//! hyper re-frames all it forwards, so nothing dirty gets through it, but it quietly repairs
//! messages that must be refused: it drops `Content-Length` beside `Transfer-Encoding`, and takes
//! repeated or empty codings, bare line feeds and odd targets (hyper 1.12, `proto/h1/role.rs`).
//! After the repair nobody can tell, so this reader looks at the bytes first. It is passive: it
//! alters nothing, copies a head only when that comes in pieces, and skips bodies by count.
//! It parses heads with httparse, as hyper does, so that the two cannot disagree on a name.

use std::mem::MaybeUninit;

use crate::base::limits;
use crate::front::wire::target;

/// Why a request is refused before anything looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the request head is malformed")]
    Head,
    #[error("the request head is too large")]
    HeadTooLarge,
    #[error("a line ends in a bare line feed")]
    BareLineFeed,
    #[error("there must be exactly one Host field")]
    Host,
    #[error("Content-Length and Transfer-Encoding must not stand together")]
    LengthAndCoding,
    #[error("Content-Length is repeated or is not a number")]
    Length,
    #[error("Transfer-Encoding must be exactly \"chunked\", once, and in HTTP/1.1 only")]
    Coding,
    #[error("the chunked body is malformed")]
    Chunk,
    #[error("the request target {0}")]
    Target(target::Fault),
}

/// Where the client is in what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// Inside a request head.
    Head,
    /// Inside a request body.
    Body,
}

/// The reader's place in the stream of bytes.
#[derive(Debug)]
pub struct Framing {
    state: State,
    /// The part of a head that came so far, if it came in pieces.
    head: Vec<u8>,
    heads: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Fixed(u64),
    Size { value: u64, digits: u8 },
    SizeLineFeed { value: u64 },
    Data(u64),
    DataReturn,
    DataLineFeed,
    Trailer { line: u16, bytes: u16 },
    TrailerLineFeed { line: u16, bytes: u16 },
    Bad(Fault),
}

/// How the body of one request is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Fixed(u64),
    Chunked,
}

impl Default for Framing {
    fn default() -> Self {
        Self { state: State::Head, head: Vec::new(), heads: 0 }
    }
}

impl Framing {
    /// Follows the next bytes from the client.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Bad(_) => return,
                State::Head => self.head(bytes),
                State::Fixed(left) | State::Data(left) => self.skip(left, bytes),
                _ => self.chunk_byte(bytes),
            };
        }
    }

    /// What was wrong; nothing after it is followed.
    pub fn fault(&self) -> Option<Fault> {
        match self.state {
            State::Bad(fault) => Some(fault),
            _ => None,
        }
    }

    pub fn phase(&self) -> Phase {
        match self.state {
            State::Head if self.head.is_empty() => Phase::Idle,
            State::Head => Phase::Head,
            _ => Phase::Body,
        }
    }

    /// Complete request heads so far, and a faulty one (wraps): the number of the request that
    /// the client sends, or whose fault it is.
    pub fn heads(&self) -> u32 {
        self.heads
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.head.is_empty() {
            return match judge(bytes) {
                Judged::Complete(used, length) => {
                    self.body(length);
                    bytes.get(used..).unwrap_or_default()
                }
                Judged::Partial => {
                    self.keep(bytes);
                    &[]
                }
                Judged::Bad(fault) => self.bad(fault),
            };
        }
        let before = self.head.len();
        self.keep(bytes);
        // A head ends with a line feed, so that other pieces need no look.
        if !bytes.contains(&b'\n') || self.fault().is_some() {
            return &[];
        }
        match judge(&self.head) {
            Judged::Complete(used, length) => {
                self.head = Vec::new();
                self.body(length);
                bytes.get(used.saturating_sub(before)..).unwrap_or_default()
            }
            Judged::Partial => &[],
            Judged::Bad(fault) => self.bad(fault),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.head.len() + bytes.len() > limits::CONNECTION_BUFFER {
            self.bad(Fault::HeadTooLarge);
        } else {
            self.head.extend_from_slice(bytes);
        }
    }

    fn body(&mut self, length: Length) {
        self.heads = self.heads.wrapping_add(1);
        self.state = match length {
            Length::Fixed(0) => State::Head,
            Length::Fixed(left) => State::Fixed(left),
            Length::Chunked => State::Size { value: 0, digits: 0 },
        };
    }

    fn skip<'a>(&mut self, left: u64, bytes: &'a [u8]) -> &'a [u8] {
        let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - here as u64;
        self.state = match self.state {
            State::Data(_) if left == 0 => State::DataReturn,
            State::Data(_) => State::Data(left),
            _ if left == 0 => State::Head,
            _ => State::Fixed(left),
        };
        bytes.get(here..).unwrap_or_default()
    }

    fn chunk_byte<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((&byte, rest)) = bytes.split_first() else {
            return bytes;
        };
        self.state = after_chunk_byte(self.state, byte).unwrap_or(State::Bad(Fault::Chunk));
        rest
    }

    fn bad<'a>(&mut self, fault: Fault) -> &'a [u8] {
        self.heads = self.heads.wrapping_add(1);
        self.state = State::Bad(fault);
        self.head = Vec::new();
        &[]
    }
}

/// Most bytes of one trailer section.
const TRAILER_BYTES: u16 = 8 * 1024;

/// The place after one byte of chunk framing. Chunk extensions are refused: they have no use
/// here, and servers differ in how they read them.
fn after_chunk_byte(state: State, byte: u8) -> Option<State> {
    match (state, byte) {
        (State::Size { value, digits }, b'\r') if digits > 0 => Some(State::SizeLineFeed { value }),
        (State::Size { value, digits }, _) => {
            let digit = char::from(byte).to_digit(16)?;
            (digits < 15)
                .then_some(State::Size { value: value * 16 + u64::from(digit), digits: digits + 1 })
        }
        (State::SizeLineFeed { value: 0 }, b'\n') => Some(State::Trailer { line: 0, bytes: 0 }),
        (State::SizeLineFeed { value }, b'\n') => Some(State::Data(value)),
        (State::DataReturn, b'\r') => Some(State::DataLineFeed),
        (State::DataLineFeed, b'\n') => Some(State::Size { value: 0, digits: 0 }),
        (State::Trailer { line, bytes }, b'\r') => Some(State::TrailerLineFeed { line, bytes }),
        (State::Trailer { .. }, b'\n') => None,
        (State::Trailer { line, bytes }, _) => {
            (bytes < TRAILER_BYTES).then_some(State::Trailer { line: line + 1, bytes: bytes + 1 })
        }
        (State::TrailerLineFeed { line: 0, .. }, b'\n') => Some(State::Head),
        (State::TrailerLineFeed { bytes, .. }, b'\n') => Some(State::Trailer { line: 0, bytes }),
        _ => None,
    }
}

enum Judged {
    Complete(usize, Length),
    Partial,
    Bad(Fault),
}

fn judge(bytes: &[u8]) -> Judged {
    let mut fields = [const { MaybeUninit::uninit() }; limits::HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Partial) => Judged::Partial,
        Err(_) => Judged::Bad(Fault::Head),
        Ok(httparse::Status::Complete(used)) => {
            let raw = bytes.get(..used).unwrap_or_default();
            match length(&request, raw) {
                Ok(length) => Judged::Complete(used, length),
                Err(fault) => Judged::Bad(fault),
            }
        }
    }
}

fn length(request: &httparse::Request<'_, '_>, raw: &[u8]) -> Result<Length, Fault> {
    // httparse takes a carriage return only before a line feed: equal counts mean none is bare.
    let count = |wanted: u8| raw.iter().map(|byte| u32::from(*byte == wanted)).sum::<u32>();
    if count(b'\n') != count(b'\r') {
        return Err(Fault::BareLineFeed);
    }
    target::check(request.path.unwrap_or_default().as_bytes()).map_err(Fault::Target)?;
    let (mut hosts, mut length, mut coded) = (0_u8, None, false);
    for field in request.headers.iter() {
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => hosts = hosts.saturating_add(1),
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let number = number(field.value).ok_or(Fault::Length)?;
                if length.replace(number).is_some() {
                    return Err(Fault::Length);
                }
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                let chunked = field.value.eq_ignore_ascii_case(b"chunked");
                if coded || !chunked || request.version != Some(1) {
                    return Err(Fault::Coding);
                }
                coded = true;
            }
            _ => {}
        }
    }
    if hosts != 1 {
        return Err(Fault::Host);
    }
    match (length, coded) {
        (Some(_), true) => Err(Fault::LengthAndCoding),
        (None, true) => Ok(Length::Chunked),
        (length, false) => Ok(Length::Fixed(length.unwrap_or(0))),
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok()?;
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
