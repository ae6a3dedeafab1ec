//! The connection to a warden: its lines, and orders to it.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::warden::files::{Order, State as Line};

#[derive(Debug)]
pub(super) struct Link {
    lines: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
}

impl Link {
    pub(super) async fn open(socket: &Path) -> io::Result<Self> {
        let (read, orders) = UnixStream::connect(socket).await?.into_split();
        Ok(Self { lines: BufReader::new(read).lines(), orders })
    }

    /// The next line; `None` at the end. Cancel-safe: what was read of a line stays in the reader.
    pub(super) async fn next(&mut self) -> Option<Line> {
        let line = self.lines.next_line().await.ok().flatten()?;
        match serde_json::from_str(&line) {
            Ok(line) => Some(line),
            Err(error) => {
                tracing::warn!(%error, "a warden is not understood");
                None
            }
        }
    }

    pub(super) async fn order(&mut self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await
    }
}
