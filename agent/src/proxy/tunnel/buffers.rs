//! Buffers that tunnels borrow while bytes are on their way. An idle tunnel holds none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::limits;

const LARGE: usize = 64 * 1024;
/// What a tunnel gets when all large buffers are out: slower, but it moves.
const SMALL: usize = 4 * 1024;
/// Large buffers kept for the next one.
const KEPT: usize = 16;

/// The stock of buffers.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Buffers {
    kept: Mutex<Vec<Box<[u8]>>>,
    out: AtomicUsize,
}

/// A borrowed buffer; it goes back when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) bytes: Box<[u8]>,
    home: Arc<Buffers>,
}

impl Buffers {
    pub(super) fn take(self: &Arc<Self>) -> Buffer {
        let out = self.out.fetch_add(1, Ordering::Relaxed);
        let kept = if out < limits::TUNNEL_BUFFERS {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.pop()
        } else {
            Some(vec![0; SMALL].into_boxed_slice())
        };
        Buffer {
            bytes: kept.unwrap_or_else(|| vec![0; LARGE].into_boxed_slice()),
            home: Arc::clone(self),
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.out.fetch_sub(1, Ordering::Relaxed);
        if self.bytes.len() == LARGE {
            let mut kept = self.home.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_ones_are_limited_and_come_back() {
        let buffers = Arc::new(Buffers::default());
        let mut out: Vec<Buffer> = (0..=limits::TUNNEL_BUFFERS).map(|_| buffers.take()).collect();
        assert_eq!(out.pop().unwrap().bytes.len(), SMALL);
        assert_eq!(out.pop().unwrap().bytes.len(), LARGE);
        drop(out);
        assert_eq!(buffers.kept.lock().unwrap().len(), KEPT);
        assert_eq!(buffers.out.load(Ordering::Relaxed), 0);
        assert_eq!(buffers.take().bytes.len(), LARGE);
    }
}
