//! Holds back what has been written to a TCP connection until its writer says so (`TCP_CORK`,
//! tcp(7)): bytes that must not be seen before something else is done. At the end of the process the
//! kernel sends what is held.
//!
//! A full segment is not held, and nothing is for longer than 200 ms.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::sockopt::set_tcp_cork;

/// Between the writer, who sees a stream of some kind, and the connection below it.
#[derive(Debug, Default)]
pub struct Hold {
    wanted: AtomicBool,
    held: AtomicBool,
}

impl Hold {
    /// What is written from now on is held back.
    pub fn hold(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// From the next flush on, it is not.
    pub fn let_go(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }

    /// The connection does what is wanted; to be asked before it writes and after it has flushed.
    pub fn apply(&self, connection: impl AsFd) {
        let wanted = self.wanted.load(Ordering::Relaxed);
        // One writer: nobody else changes it in between.
        if self.held.load(Ordering::Relaxed) != wanted {
            self.held.store(wanted, Ordering::Relaxed);
            // Without it the bytes are seen a little sooner.
            set_tcp_cork(connection, wanted).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_is_held_comes_when_it_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut writes = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut reads, _) = listener.accept().unwrap();
        reads.set_nonblocking(true).unwrap();
        let hold = Hold::default();
        hold.hold();
        hold.apply(&writes);
        writes.write_all(b"held").unwrap();
        // On loopback a segment that is sent is there when `write` returns.
        assert!(reads.read(&mut [0; 4]).is_err());
        hold.let_go();
        hold.apply(&writes);
        let mut got = [0; 4];
        reads.set_nonblocking(false).unwrap();
        reads.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"held");
        // Otherwise it would be there at once.
        hold.apply(&writes);
        writes.write_all(b"not").unwrap();
        assert_eq!(reads.read(&mut got).unwrap(), 3);
    }
}
