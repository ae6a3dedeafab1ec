//! Who listens to the keeper: each gets the state as lines and may send orders as lines.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::files::{Order, State};
use crate::base::limits;

/// The connections, each with the part of a line that came so far.
#[derive(Debug, Default)]
pub(super) struct Clients(Vec<Client>);

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    partial: Vec<u8>,
}

impl Clients {
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|client| client.stream.as_fd())
    }

    /// Takes everyone who waits, if it is root or our own user, and tells them the state.
    pub(super) fn accept(&mut self, listener: &UnixListener, state: &State) {
        while let Ok((stream, _)) = listener.accept() {
            if self.0.len() >= limits::KEEPER_CLIENTS || !may_speak(&stream) {
                continue;
            }
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let mut client = Client { stream, partial: Vec::new() };
            // Who has sent an order and closed already cannot be told, and is heard all the same.
            drop(client.tell(state));
            self.0.push(client);
        }
    }

    /// Tells everyone; who does not read is dropped and may connect again.
    pub(super) fn tell(&mut self, state: &State) {
        self.0.retain_mut(|client| client.tell(state).is_ok());
    }

    /// Every order that has come; a client that closed or sent nonsense is dropped.
    pub(super) fn orders(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        self.0.retain_mut(|client| client.read(&mut orders).is_ok());
        orders
    }
}

impl Client {
    fn tell(&mut self, state: &State) -> io::Result<()> {
        let mut line = serde_json::to_vec(state)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    fn read(&mut self, orders: &mut Vec<Order>) -> io::Result<()> {
        let mut buffer = [0; limits::KEEPER_LINE];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.partial.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.partial.drain(..=end).collect();
                orders.push(serde_json::from_slice(&line)?);
            }
            if self.partial.len() > limits::KEEPER_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

fn may_speak(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials)
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw())
}
