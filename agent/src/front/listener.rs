//! What every accepted TCP connection is set to, and which accept errors are waited out.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::base::limits;

/// A dead peer is found this long after its last sign.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_STEP: Duration = Duration::from_secs(15);
/// The pause after an accept that failed for want of descriptors or memory.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Small answers go out at once; a peer that is gone, or takes nothing, is found.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_STEP).with_retries(4),
    )?;
    socket.set_tcp_user_timeout(Some(limits::STALL_TIMEOUT))
}

/// An error of one connection, not of the listener: the next one can be accepted at once.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
