//! The attendant as a real process between a kernel's websocket and stationd's end of it, which is
//! broken off at every point: nothing is lost, nothing doubled.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test plays Jupyter and stationd, and fails loudly"
)]

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use stationd::attend::channels::SOCKET;
use stationd::base::frames::{GOING_AWAY, close, close_masked};
use stationd::base::limits;
use stationd::os::process;
use stationd::os::socket::handed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SAME: &str = "Origin: http://a\r\nSec-WebSocket-Protocol: v1\r\n";
const PING: [u8; 2] = [0x89, 0];
/// Bytes of the frames of `text`.
const TEXT: usize = 7;

async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("20 s")
}

/// A text frame with a number.
fn text(number: usize) -> Vec<u8> {
    format!("\u{1}\u{5}{number:05}").into_bytes().into_iter().enumerate().map(first_bit).collect()
}

/// The first byte of a frame that is the last of its message.
fn first_bit((at, byte): (usize, u8)) -> u8 {
    if at == 0 { byte | 0x80 } else { byte }
}

struct Rig {
    place: tempfile::TempDir,
    jupyter: UnixListener,
    attendant: Child,
}

/// Jupyter's end of one websocket.
struct Kernel {
    stream: UnixStream,
}

/// stationd's end of it.
struct Station {
    stream: UnixStream,
    acks: pipe::Sender,
}

impl Drop for Rig {
    fn drop(&mut self) {
        // It ends its program, and then itself.
        if let Some(pid) = self.attendant.id().and_then(|pid| i32::try_from(pid).ok()) {
            process::signal(pid, Signal::SIGTERM).unwrap();
        }
    }
}

impl Rig {
    async fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let jupyter = UnixListener::bind(place.path().join("s.sock")).unwrap();
        let attendant = Command::new(env!("CARGO_BIN_EXE_stationd"))
            .args(["attend", "--folder"])
            .arg(place.path())
            .args(["--", "/bin/sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let socket = place.path().join(SOCKET);
        let listens = async {
            while UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(listens).await;
        Self { place, jupyter, attendant }
    }

    /// stationd asks for a websocket.
    async fn ask(&self, session: &str, fields: &str) -> Station {
        let mut stream = UnixStream::connect(self.place.path().join(SOCKET)).await.unwrap();
        let (acks, other_end) = pipe::pipe().unwrap();
        handed::give(&stream, other_end.as_fd()).await.unwrap();
        let head = format!(
            "GET /apps/a/api/kernels/k/channels?session_id={session} HTTP/1.1\r\nHost: a\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Station { stream, acks }
    }

    /// Jupyter takes the request and answers.
    async fn answer(&self, head: &str) -> Kernel {
        let (mut stream, _) = within(self.jupyter.accept()).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("GET /apps/a/api/kernels/k/channels?"));
        stream.write_all(head.as_bytes()).await.unwrap();
        Kernel { stream }
    }

    /// A new websocket, with both ends.
    async fn open(&self, session: &str) -> (Kernel, Station) {
        let mut station = self.ask(session, SAME).await;
        let kernel = self.answer(&accepted("Sec-WebSocket-Protocol: v1\r\n")).await;
        assert!(station.head().await.starts_with("HTTP/1.1 101 "));
        (kernel, station)
    }

    /// The session comes again, and Jupyter hears nothing of that.
    async fn again(&self, session: &str) -> Station {
        let mut station = self.ask(session, SAME).await;
        let head = station.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The pair of RFC 6455 section 1.3.
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        assert!(head.contains("Sec-WebSocket-Protocol: v1\r\n"), "{head}");
        station
    }
}

fn accepted(fields: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n{fields}\r\n")
}

async fn read_head(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

impl Kernel {
    async fn says(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// What reaches it up to its end.
    async fn hears(&mut self, bytes: &[u8]) {
        let mut heard = vec![0; bytes.len()];
        within(self.stream.read_exact(&mut heard)).await.unwrap();
        assert_eq!(heard, bytes);
    }
}

impl Station {
    async fn head(&mut self) -> String {
        read_head(&mut self.stream).await
    }

    async fn gets(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        within(self.stream.read_exact(&mut got)).await.unwrap();
        assert!(got == bytes, "{} bytes, and not as expected", got.len());
    }

    /// The next message, and how many bytes came with it: a ping may or may not stand before it.
    async fn gets_message(&mut self, bytes: &[u8]) -> usize {
        let mut got = [0; TEXT];
        within(self.stream.read_exact(&mut got[..2])).await.unwrap();
        let pings = usize::from(got[..2] == PING);
        if pings > 0 {
            within(self.stream.read_exact(&mut got[..2])).await.unwrap();
        }
        within(self.stream.read_exact(&mut got[2..])).await.unwrap();
        assert_eq!(got, bytes);
        pings * PING.len() + bytes.len()
    }

    async fn acknowledges(&mut self, through: usize) {
        self.acks.write_all(&(through as u64).to_le_bytes()).await.unwrap();
    }

    /// A round trip: what was said before it has been seen by the attendant.
    async fn pings(&mut self, kernel: &mut Kernel) {
        const MASKED: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
        self.stream.write_all(&MASKED).await.unwrap();
        kernel.hears(&MASKED).await;
    }
}

#[tokio::test]
async fn stationd_may_end_after_any_byte_and_any_acknowledgement() {
    let rig = Rig::start().await;
    let said = [&text(0)[..], &PING, &text(1), &text(2)].concat();
    // The places at which the frames end, without the ping.
    let ends = [TEXT, TEXT * 2 + 2, TEXT * 3 + 2];
    for taken in 0..=said.len() {
        for through in BTreeSet::from([0, taken / 2, taken]) {
            let session = format!("s-{taken}-{through}");
            let (mut kernel, mut station) = rig.open(&session).await;
            kernel.says(&said).await;
            station.gets(&said[..taken]).await;
            station.acknowledges(through).await;
            drop(station);
            let mut station = rig.again(&session).await;
            let first = ends.iter().filter(|end| **end <= through).count();
            let mut through = 0;
            for number in first..3 {
                through += station.gets_message(&text(number)).await;
            }
            kernel.says(&text(3)).await;
            station.gets_message(&text(3)).await;
            station.pings(&mut kernel).await;
            // Once more: places are counted anew.
            station.acknowledges(through).await;
            drop(station);
            let mut station = rig.again(&session).await;
            station.gets(&text(3)).await;
        }
    }
}

#[tokio::test]
async fn a_frame_in_pieces_and_what_nobody_waits_for_arrive() {
    let rig = Rig::start().await;
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&text(0)[..3]).await;
    station.gets(&text(0)[..3]).await;
    station.acknowledges(3).await;
    drop(station);
    kernel.says(&text(0)[3..]).await;
    let many: Vec<u8> = (1..50_000).flat_map(text).collect();
    assert!(many.len() < limits::ABSENT_BYTES);
    kernel.says(&many).await;
    let mut station = rig.again("s").await;
    station.gets(&text(0)).await;
    station.gets(&many).await;
}

#[tokio::test]
async fn a_connection_that_still_stands_gives_way_to_the_next() {
    let rig = Rig::start().await;
    let (mut kernel, mut old) = rig.open("s").await;
    kernel.says(&[text(0), text(1)].concat()).await;
    old.gets(&[text(0), text(1)].concat()).await;
    old.acknowledges(TEXT).await;
    let mut station = rig.again("s").await;
    station.gets(&text(1)).await;
    assert_eq!(within(old.stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    station.pings(&mut kernel).await;
}

#[tokio::test]
async fn another_request_is_for_jupyter_to_judge_and_what_is_kept_stands_before_its_own() {
    let rig = Rig::start().await;
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&text(0)).await;
    station.gets(&text(0)).await;
    drop(station);
    let mut station = rig.ask("s", &SAME.replace("http://a", "http://b")).await;
    // The old websocket is closed first, as a client does.
    kernel.hears(&close_masked(GOING_AWAY)).await;
    kernel.says(&[&text(1)[..], &close(GOING_AWAY)].concat()).await;
    drop(kernel);
    let mut kernel = rig.answer(&accepted("")).await;
    kernel.says(&text(2)).await;
    assert!(station.head().await.starts_with("HTTP/1.1 101 "));
    station.gets(&[text(0), text(1), text(2)].concat()).await;
    station.acknowledges(TEXT * 3).await;
    // A refusal is one, and what is kept waits for the next.
    drop(station);
    let mut station = rig.ask("s", "Origin: http://c\r\n").await;
    kernel.hears(&close_masked(GOING_AWAY)).await;
    kernel.says(&text(3)).await;
    drop(kernel);
    let refusing = rig.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert!(station.head().await.starts_with("HTTP/1.1 403 "));
    drop((refusing, station));
    let (_kernel, mut station) = rig.open("s").await;
    station.gets(&text(3)).await;
}

#[tokio::test]
async fn broken_off_inside_of_a_clients_frame_the_websocket_ends() {
    let rig = Rig::start().await;
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&text(0)).await;
    station.gets(&text(0)).await;
    let half = [0x81, 0x85, 0, 0];
    station.stream.write_all(&half).await.unwrap();
    drop(station);
    let mut station = rig.ask("s", SAME).await;
    kernel.hears(&half).await;
    // Jupyter sees the end, and no frame made of two.
    assert_eq!(within(kernel.stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    kernel.says(&text(1)).await;
    drop(kernel);
    let _kernel = rig.answer(&accepted("")).await;
    station.head().await;
    station.gets(&[text(0), text(1)].concat()).await;
}

#[tokio::test]
async fn nobody_comes_back_after_a_close() {
    let rig = Rig::start().await;
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&text(0)).await;
    station.gets(&text(0)).await;
    station.stream.write_all(&close_masked(GOING_AWAY)).await.unwrap();
    kernel.hears(&close_masked(GOING_AWAY)).await;
    // Somebody who comes before Jupyter has answered waits for that, and gets a new websocket.
    let mut next = rig.ask("s", SAME).await;
    assert_eq!(within(station.stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    drop((station, kernel));
    let mut kernel = rig.answer(&accepted("")).await;
    next.head().await;
    kernel.says(&text(1)).await;
    next.gets(&text(1)).await;
}

#[tokio::test]
async fn nobody_is_put_on_a_websocket_that_jupyter_closes() {
    let rig = Rig::start().await;
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&close(1000)).await;
    station.gets(&close(1000)).await;
    drop(station);
    let mut next = rig.ask("s", SAME).await;
    kernel.hears(&close_masked(GOING_AWAY)).await;
    drop(kernel);
    let mut kernel = rig.answer(&accepted("")).await;
    next.head().await;
    kernel.says(&text(1)).await;
    next.gets(&text(1)).await;
}

#[tokio::test]
async fn the_end_of_the_app_is_passed_on_after_its_last_word() {
    let rig = Rig::start().await;
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&[&text(0)[..], &close(1000)].concat()).await;
    drop(kernel);
    let mut all = Vec::new();
    within(station.stream.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all, [&text(0)[..], &close(1000)].concat());
    drop(station);
    // Killed at that moment, its message is still to be said; its Close is not.
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&text(1)).await;
    station.gets(&[text(0), text(1)].concat()).await;
}

#[tokio::test]
async fn where_frames_cannot_be_told_apart_nothing_is_kept() {
    let rig = Rig::start().await;
    let mut station = rig.ask("s", SAME).await;
    let mut kernel =
        rig.answer(&accepted("Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
    station.head().await;
    kernel.says(b"whatever").await;
    station.gets(b"whatever").await;
    drop(station);
    assert_eq!(within(kernel.stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&text(1)).await;
    station.gets(&text(1)).await;
}

#[tokio::test]
async fn a_kernel_that_says_much_to_nobody_goes_on_in_jupyter() {
    let rig = Rig::start().await;
    let (mut kernel, station) = rig.open("s").await;
    drop(station);
    let large = [&[0x82, 127][..], &(limits::ABSENT_BYTES as u64).to_be_bytes()].concat();
    let large = [large, vec![7; limits::ABSENT_BYTES]].concat();
    kernel.says(&large).await;
    kernel.hears(&close_masked(GOING_AWAY)).await;
    kernel.says(&text(0)).await;
    drop(kernel);
    let (mut kernel, mut station) = rig.open("s").await;
    kernel.says(&text(1)).await;
    station.gets(&[large, text(0), text(1)].concat()).await;
}
