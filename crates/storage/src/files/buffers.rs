//! Buffers that are used again.
//!
//! A fresh buffer must be zeroed before safe code may read into it, and the kernel must find pages
//! for it. Both cost about as much as the copy out of the page cache itself. So a few are kept and
//! go round.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The length of a buffer that is kept, in bytes: long enough that the way to the socket and back
/// costs little beside the copy, short enough to stay in a processor's second-level cache.
pub(super) const LENGTH: usize = 1 << 18;

/// Buffers that are kept when nobody reads: 2 MiB.
const KEPT: usize = 8;

#[derive(Debug, Default)]
pub(super) struct ReadBuffers {
    idle: Mutex<Vec<Box<[u8]>>>,
}

impl ReadBuffers {
    /// A buffer of [`LENGTH`], or one of just `length` where that is much less. What is in it is
    /// old.
    pub(super) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        if length <= LENGTH / 8 {
            return Buffer {
                bytes: vec![0; length].into(),
                filled: 0,
                home: None,
            };
        }
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let bytes = idle.unwrap_or_else(|| vec![0; LENGTH].into());
        Buffer {
            bytes,
            filled: 0,
            home: Some(Arc::clone(self)),
        }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(bytes);
        }
    }
}

/// A buffer that goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
    home: Option<Arc<ReadBuffers>>,
}

impl Buffer {
    /// At most its first `length` bytes, to be read into.
    pub(super) fn space(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.bytes.len());
        &mut self.bytes[..length]
    }

    /// What was read into it: its first `filled` bytes.
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_round_and_shows_only_what_was_filled() {
        let buffers = Arc::new(ReadBuffers::default());
        let mut buffer = buffers.take(LENGTH);
        buffer.space(LENGTH).fill(7);
        let bytes = buffer.into_bytes(3);
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(part, [7, 7].as_slice());
        assert!(buffers.idle.lock().unwrap().is_empty());
        drop(part);
        assert_eq!(buffers.idle.lock().unwrap().len(), 1);
        assert_eq!(buffers.take(LENGTH).into_bytes(0), [].as_slice());
    }

    #[test]
    fn small_ones_are_not_kept_and_not_too_many_are() {
        let buffers = Arc::new(ReadBuffers::default());
        drop(buffers.take(10));
        assert!(buffers.idle.lock().unwrap().is_empty());
        drop((0..20).map(|_| buffers.take(LENGTH)).collect::<Vec<_>>());
        assert_eq!(buffers.idle.lock().unwrap().len(), KEPT);
    }
}
