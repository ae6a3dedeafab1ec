//! A kernel's websocket goes by the attendant, and is told there what the client has.

use stationd::attend::channels::{ACKNOWLEDGED, SOCKET};
use stationd::os::socket::handed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixListener, UnixStream};

use crate::rig::{Rig, status, until, within};

const KERNEL: &str = "/apps/lab/do/ws/api/kernels/k/channels?session_id=s";
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// Plays the attendant's end of one websocket.
struct Attendant {
    stream: UnixStream,
    acks: Acks,
}

/// What it is told.
struct Acks {
    pipe: pipe::Receiver,
    last: u64,
}

impl Attendant {
    async fn accept(listener: &UnixListener) -> Self {
        const ANSWER: &[u8] =
            b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let (mut stream, _) = within(listener.accept()).await.unwrap();
        let pipe = within(handed::take(&stream)).await.unwrap();
        let pipe = pipe::Receiver::from_owned_fd(pipe).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        stream.write_all(ANSWER).await.unwrap();
        Self { stream, acks: Acks { pipe, last: 0 } }
    }
}

impl Acks {
    async fn next(&mut self) -> Option<u64> {
        let mut word = [0; ACKNOWLEDGED];
        within(self.pipe.read_exact(&mut word)).await.ok()?;
        Some(u64::from_le_bytes(word))
    }

    /// Takes acknowledgements up to that of so many bytes: more and more, and never more than that.
    async fn up_to(&mut self, bytes: usize) {
        while self.last < bytes as u64 {
            let next = self.next().await.unwrap();
            assert!(next > self.last && next <= bytes as u64, "{next} after {}", self.last);
            self.last = next;
        }
    }
}

async fn open(rig: &Rig) -> (TcpStream, Attendant) {
    let listener = UnixListener::bind(rig.home.path().join(SOCKET)).unwrap();
    let ((client, head), attendant) =
        tokio::join!(rig.websocket(KERNEL), Attendant::accept(&listener));
    assert_eq!(status(&head), 101, "{head}");
    (client, attendant)
}

/// A binary frame with so many bytes of payload.
fn frame(payload: usize) -> Vec<u8> {
    let mut bytes = vec![0x82, 127];
    bytes.extend((payload as u64).to_be_bytes());
    bytes.extend(vec![7; payload]);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_has_is_acknowledged_and_nothing_else() {
    let rig = Rig::start().await;
    let (mut client, mut attendant) = open(&rig).await;
    let small = frame(10);
    attendant.stream.write_all(&small).await.unwrap();
    within(client.read_exact(&mut vec![0; small.len()])).await.unwrap();
    attendant.acks.up_to(small.len()).await;
    // Piece by piece, and never more than there is.
    let large = frame(8 << 20);
    let total = small.len() + large.len();
    let (mut reads, mut writes) = attendant.stream.into_split();
    let mut acks = attendant.acks;
    let mut got = vec![0; large.len()];
    let (written, read, ()) = within(async {
        tokio::join!(writes.write_all(&large), client.read_exact(&mut got), acks.up_to(total))
    })
    .await;
    written.unwrap();
    read.unwrap();
    assert!(got == large, "8 MiB came changed");
    drop(client);
    assert!(within(reads.read_to_end(&mut Vec::new())).await.is_ok());
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_the_client_and_not_the_kernel() {
    let rig = Rig::start().await;
    let (mut client, mut attendant) = open(&rig).await;
    let small = frame(10);
    attendant.stream.write_all(&small).await.unwrap();
    within(client.read_exact(&mut vec![0; small.len()])).await.unwrap();
    rig.tasks.cancel();
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, GOING_AWAY);
    drop(client);
    let mut heard = Vec::new();
    within(attendant.stream.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.is_empty(), "{heard:?}");
    // Our own Close is none of the kernel's bytes.
    assert_eq!(attendant.acks.next().await, Some(small.len() as u64));
    assert_eq!(attendant.acks.next().await, None);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_attendant_the_app_itself_is_asked() {
    let rig = Rig::start().await;
    // Nobody listens there, as with an attendant of an older release.
    let (stream, head) = rig.websocket(KERNEL).await;
    assert_eq!(status(&head), 101, "{head}");
    drop(stream);
    let listener = UnixListener::bind(rig.home.path().join(SOCKET)).unwrap();
    for path in ["/apps/lab/do/ws", "/apps/lab/do/ws/api/kernels/k/channels"] {
        let (stream, head) = rig.websocket(path).await;
        assert_eq!(status(&head), 101, "{path}: {head}");
        drop(stream);
    }
    // One that hangs up is an app that does not answer.
    let hangs_up = async {
        let (mut stream, _) = within(listener.accept()).await.unwrap();
        within(handed::take(&stream)).await.unwrap();
        within(stream.read_u8()).await.unwrap();
    };
    let ((stream, head), ()) = tokio::join!(rig.websocket(KERNEL), hangs_up);
    assert_eq!(status(&head), 503, "{head}");
    drop(stream);
    until(|| rig.proxy.open_tunnels() == 0).await;
    rig.stop().await;
}
