//! What the kernel's log says about GPUs: read here, or by `stationd probe`, which may read it where
//! stationd may not.

use std::io;
use std::pin::pin;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;

use crate::os::machine::kmsg::{Kmsg, Record};

/// Lines about GPUs, from the first that the kernel still has.
#[derive(Debug)]
pub enum KernelLog {
    Own(Kmsg),
    Probe(Lines<BufReader<UnixStream>>),
}

impl KernelLog {
    pub(super) fn over(stream: UnixStream) -> Self {
        Self::Probe(BufReader::new(stream).lines())
    }

    /// The next one; an error if none will come any more.
    pub async fn next(&mut self) -> io::Result<Record> {
        match self {
            Self::Own(log) => log.next(is_about_gpus).await,
            Self::Probe(lines) => {
                let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                Ok(serde_json::from_str(&line)?)
            }
        }
    }
}

/// What NVIDIA's driver writes. Nothing else of the log leaves the probe.
fn is_about_gpus(text: &str) -> bool {
    text.starts_with("NVRM: ") || text.starts_with("nvidia-nvswitch")
}

/// Passes the log on until nobody listens.
pub(super) async fn pass_on(mut stream: UnixStream) -> io::Result<()> {
    let mut log = Kmsg::open()?;
    let (mut ended, mut out) = stream.split();
    let tell = async {
        loop {
            let record = log.next(is_about_gpus).await?;
            let mut line = serde_json::to_vec(&record)?;
            line.push(b'\n');
            out.write_all(&line).await?;
        }
    };
    // Nothing is ever sent this way: what comes is the end.
    let mut nothing = [0; 1];
    let end = async { ended.read(&mut nothing).await.map(drop) };
    futures_util::future::select(pin!(tell), pin!(end)).await.factor_first().0
}
