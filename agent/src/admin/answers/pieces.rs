//! A body of a few pieces that lie in memory: none of them is copied to make one.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The pieces that are still to be sent.
#[derive(Debug)]
pub(in crate::admin) struct Pieces(std::vec::IntoIter<Bytes>);

impl Pieces {
    pub(in crate::admin) fn new(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Self(pieces.into_iter())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let all = self.0.as_slice().iter().map(Bytes::len).sum::<usize>();
        SizeHint::with_exact(u64::try_from(all).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order_and_their_size_is_known() {
        let of =
            |all: &[&'static str]| Pieces::new(all.iter().map(|one| Bytes::from(*one)).collect());
        assert_eq!(of(&["ab", "", "c"]).size_hint().exact(), Some(3));
        assert!(of(&["", ""]).is_end_stream());
        let body = axum::body::Body::new(of(&["ab", "", "c"]));
        assert_eq!(axum::body::to_bytes(body, 10).await.unwrap(), "abc");
    }
}
