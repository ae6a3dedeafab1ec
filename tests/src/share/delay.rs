//! A way to the storage that takes its time: a TCP relay on loopback that hands on each byte half a round trip
//! later, and that can be cut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Result;
use stationd::os::clock::since_boot;

/// Pieces that are on their way in one direction of one connection.
const PIECES: usize = 1024;
const PIECE: usize = 64 * 1024;

/// The relay; it ends with the program.
#[derive(Debug)]
pub struct Delay {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Delay {
    /// Listens on a port of its own and leads to `to`, `round_trip` away.
    pub fn start(to: u16, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let cut = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cut);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if flag.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                drop(both(&client, &server, round_trip / 2));
            }
        });
        Ok(Self { port, cut })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections are closed at once, or served again.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

fn both(client: &TcpStream, server: &TcpStream, late: Duration) -> Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ways = [(client, server), (server, client)];
    for (from, to) in ways {
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        std::thread::spawn(move || one_way(from, to, late));
    }
    Ok(())
}

/// Reads at once and writes later, so that what follows is not held up.
fn one_way(mut from: TcpStream, mut to: TcpStream, late: Duration) {
    let (pieces, rest) = sync_channel::<(Duration, Vec<u8>)>(PIECES);
    std::thread::spawn(move || {
        for (due, piece) in rest {
            std::thread::park_timeout(due.saturating_sub(since_boot()));
            if to.write_all(&piece).is_err() {
                return;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let piece = buffer.get(..read).unwrap_or_default().to_vec();
        if pieces.send((since_boot() + late, piece)).is_err() {
            return;
        }
    }
}
