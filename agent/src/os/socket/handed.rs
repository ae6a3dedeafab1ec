//! A descriptor that goes to the other end of a Unix socket with one byte (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The byte that it goes with; the kernel passes none without.
const BYTE: u8 = b'\n';

/// Gives the other end a copy of the descriptor.
pub async fn give(stream: &UnixStream, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        with.push(SendAncillaryMessage::ScmRights(&descriptors));
        let byte = [IoSlice::new(&[BYTE])];
        Ok(sendmsg(stream.as_fd(), &byte, &mut with, SendFlags::NOSIGNAL)?)
    };
    match stream.async_io(Interest::WRITABLE, send).await? {
        1 => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Takes the descriptor that the other end gives first of all.
pub async fn take(stream: &UnixStream) -> io::Result<OwnedFd> {
    let receive = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut place = [IoSliceMut::new(&mut byte)];
        recvmsg(stream.as_fd(), &mut place, &mut with, RecvFlags::CMSG_CLOEXEC)?;
        let handed = with.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        handed.ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    stream.async_io(Interest::READABLE, receive).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::unix::pipe;

    use super::*;

    #[tokio::test]
    async fn what_is_written_at_one_end_is_read_at_the_other() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut writes, reads) = pipe::pipe().unwrap();
        give(&near, reads.as_fd()).await.unwrap();
        drop(reads);
        let taken = take(&far).await.unwrap();
        let mut reads = pipe::Receiver::from_owned_fd(taken).unwrap();
        writes.write_all(b"through").await.unwrap();
        drop(writes);
        let mut text = String::new();
        reads.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "through");
    }

    #[tokio::test]
    async fn a_byte_without_one_is_an_error() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"\n").await.unwrap();
        assert_eq!(take(&far).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(near);
        assert_eq!(take(&far).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
