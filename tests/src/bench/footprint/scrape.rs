//! What a scrape costs, beside `node_exporter` (without GPUs; ours has eight) and beside a server that
//! does nothing but send the same bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::super::process::{cpu_seconds, to_f64};
use super::super::report::{OURS, Samples};
use super::super::{Plan, say};
use crate::process;
use crate::station::Station;

const PEER: &str = "/usr/bin/prometheus-node-exporter";
const NAME: &str = "node_exporter";
const FLOOR: &str = "floor";
const SCRAPES: u32 = 200;
const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Interleaved: ours, the peer, the floor, and again.
pub(super) async fn measure(plan: &Plan, station: &Station, samples: &mut Samples) -> Result<()> {
    let text = scrape(UnixStream::connect(station.socket()).await?).await?;
    samples.add("scrape_bytes", "B", OURS, to_f64(u64::try_from(text.len())?));
    let peer = Exporter::start().await?;
    let folder = tempfile::tempdir()?;
    let floor = folder.path().join("s");
    let listener = UnixListener::bind(&floor)?;
    std::thread::spawn(move || serve(&listener, &text));
    for round in 1..=plan.rounds {
        say(&format!("scrapes, round {round} of {}", plan.rounds));
        let pids = [station.pid()?];
        let (took, cpu) =
            series(&pids, async || Ok(UnixStream::connect(station.socket()).await?)).await?;
        samples.add("scrape_p50_us", "us", OURS, took);
        samples.add("scrape_cpu_us", "us", OURS, cpu);
        if let Some(peer) = &peer {
            let pids = [peer.pid()?];
            let (took, cpu) =
                series(&pids, async || Ok(TcpStream::connect(peer.address).await?)).await?;
            samples.add("scrape_p50_us", "us", NAME, took);
            samples.add("scrape_cpu_us", "us", NAME, cpu);
        }
        let (took, _) = series(&[], async || Ok(UnixStream::connect(&floor).await?)).await?;
        samples.add("scrape_p50_us", "us", FLOOR, took);
    }
    Ok(())
}

/// The median time of a scrape, and the CPU that these processes took for each.
async fn series<S: AsyncRead + AsyncWrite + Unpin>(
    pids: &[i32],
    connect: impl AsyncFn() -> Result<S>,
) -> Result<(f64, f64)> {
    let before = cpu_seconds(pids);
    let mut took = Vec::new();
    for _ in 0..SCRAPES {
        let begun = Instant::now();
        scrape(connect().await?).await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let half = took.get(took.len() / 2).context("some scrapes")?;
    let cpu = (cpu_seconds(pids) - before) * 1e6 / f64::from(SCRAPES);
    Ok((half.as_secs_f64() * 1e6, cpu))
}

/// The whole answer, its head too.
async fn scrape(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Vec<u8>> {
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::with_capacity(128 * 1024);
    stream.read_to_end(&mut answer).await?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "no metrics");
    Ok(answer)
}

/// Sends the same bytes to everybody, until the measurement ends.
fn serve(listener: &UnixListener, text: &[u8]) {
    while let Ok((mut stream, _)) = listener.accept() {
        let mut request = [0; 256];
        if stream.read(&mut request).is_ok() {
            drop(stream.write_all(text));
        }
    }
}

struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Exporter {
    /// `None` where it is not installed.
    async fn start() -> Result<Option<Self>> {
        if !Path::new(PEER).exists() {
            say("node_exporter is not installed: no peer");
            return Ok(None);
        }
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command: Command = process::command(Path::new(PEER));
        command.arg(format!("--web.listen-address={address}"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn()?;
        let limit = Duration::from_secs(20);
        let answers = async || TcpStream::connect(address).await.ok();
        process::eventually_async("node_exporter", limit, answers).await?;
        Ok(Some(Self { child, address }))
    }

    fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.child.id().context("node_exporter has ended")?)?)
    }
}
