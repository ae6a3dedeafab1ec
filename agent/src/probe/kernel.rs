//! What the kernel's log says on a few topics: read here, or by `stationd probe`, which may read it
//! where stationd may not.
//!
//! Only lines of the topics that are asked for leave this file. `topic` is pure.

mod topic;

use std::io;
use std::pin::pin;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;

use crate::os::machine::kmsg::{Kmsg, Next, Record};

pub use self::topic::Topic;

/// What comes of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    Line {
        topic: Topic,
        record: Record,
    },
    /// The kernel dropped so many records, of whatever topic, before they were read.
    Lost {
        records: u64,
    },
}

/// Lines of the topics, from the first that the kernel still has.
#[derive(Debug)]
pub struct KernelLog(Source);

#[derive(Debug)]
enum Source {
    Own(Own),
    Probe(Lines<BufReader<UnixStream>>),
}

#[derive(Debug)]
struct Own {
    log: Kmsg,
    topics: Vec<Topic>,
}

impl Own {
    fn open(topics: Vec<Topic>) -> io::Result<Self> {
        Ok(Self { log: Kmsg::open()?, topics })
    }

    async fn next(&mut self) -> io::Result<Heard> {
        let topics = &self.topics;
        let wanted = |text: &str| topic::of(text).filter(|topic| topics.contains(topic));
        Ok(match self.log.next(wanted).await? {
            Next::Record(topic, record) => Heard::Line { topic, record },
            Next::Lost(records) => Heard::Lost { records },
        })
    }
}

impl KernelLog {
    pub(super) fn own(topics: &[Topic]) -> io::Result<Self> {
        Own::open(topics.to_vec()).map(|own| Self(Source::Own(own)))
    }

    pub(super) fn over(stream: UnixStream) -> Self {
        Self(Source::Probe(BufReader::new(stream).lines()))
    }

    /// The next one; an error if none will come any more.
    pub async fn next(&mut self) -> io::Result<Heard> {
        match &mut self.0 {
            Source::Own(own) => own.next().await,
            Source::Probe(lines) => {
                let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                Ok(serde_json::from_str(&line)?)
            }
        }
    }
}

/// Passes the topics on until nobody listens.
pub(super) async fn pass_on(mut stream: UnixStream, topics: Vec<Topic>) -> io::Result<()> {
    let mut log = Own::open(topics)?;
    let (mut ended, mut out) = stream.split();
    let tell = async {
        loop {
            let mut line = serde_json::to_vec(&log.next().await?)?;
            line.push(b'\n');
            out.write_all(&line).await?;
        }
    };
    // Nothing is ever sent this way: what comes is the end.
    let mut nothing = [0; 1];
    let end = async { ended.read(&mut nothing).await.map(drop) };
    futures_util::future::select(pin!(tell), pin!(end)).await.factor_first().0
}
