//! One poller of one agent, on one connection: it counts the bytes that its answers take.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Everything, as if nothing were held.
    Whole,
    /// What changed, or 304.
    Changes,
    /// The same, when it changes.
    Wait,
}

#[derive(Debug)]
pub(super) struct Poller {
    path: PathBuf,
    stream: Option<UnixStream>,
    /// The tag of the last answer; the number stands in it.
    tag: Option<String>,
}

/// An answer: its status, its bytes with its head, and when to come again.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) bytes: usize,
    pub(super) after: Option<u64>,
}

impl Poller {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, stream: None, tag: None }
    }

    /// The number of the status that it holds.
    pub(super) fn seq(&self) -> u64 {
        let tag = self.tag.as_deref().unwrap_or_default().trim_end_matches('"');
        tag.rsplit_once('-').and_then(|(_, seq)| seq.parse().ok()).unwrap_or(0)
    }

    /// Gives the connection up.
    pub(super) fn leave(&mut self) {
        self.stream = None;
    }

    pub(super) async fn poll(&mut self, ask: Ask) -> Result<Got> {
        let tag = self.tag.clone().filter(|_| ask != Ask::Whole);
        let query = match (&tag, ask) {
            (None, _) => String::new(),
            (Some(_), Ask::Wait) => format!("?samples=false&since={}&wait=25", self.seq()),
            (Some(_), _) => format!("?samples=false&since={}", self.seq()),
        };
        let known = tag.map_or_else(String::new, |tag| format!("If-None-Match: {tag}\r\n"));
        let request = format!(
            "GET /v1/heartbeat{query} HTTP/1.1\r\nHost: s\r\nAccept-Encoding: gzip\r\n{known}\r\n"
        );
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(UnixStream::connect(&self.path).await?),
        };
        // One that is sent away finds the answer there already.
        stream.write_all(request.as_bytes()).await.unwrap_or_default();
        let answer = answer(stream);
        let (head, bytes) = tokio::time::timeout(Duration::from_secs(60), answer).await??;
        let status: u16 = head.get(9..12).context("a status")?.parse()?;
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if let Some(tag) = field("etag") {
            self.tag = Some(tag);
        }
        if status == 503 {
            self.leave();
        }
        let after = field("retry-after").and_then(|after| after.parse().ok());
        Ok(Got { status, bytes, after })
    }
}

/// The head and all bytes of one answer.
async fn answer(stream: &mut UnixStream) -> Result<(String, usize)> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut part).await?;
        bytes.extend_from_slice(part.get(..count).unwrap_or_default());
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if count == 0 {
                bail!("the answer broke off: {}", String::from_utf8_lossy(&bytes));
            }
            continue;
        };
        let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
        let length = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let whole = end + 4 + length.unwrap_or(0);
        if bytes.len() >= whole {
            return Ok((head, bytes.len()));
        }
        if count == 0 {
            bail!("the body broke off");
        }
    }
}
