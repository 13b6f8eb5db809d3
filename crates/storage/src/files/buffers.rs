//! Buffers that are used again.
//!
//! A fresh buffer must be zeroed before safe code may read into it, and the kernel must find pages
//! for it. Both cost about as much as the copy out of the page cache itself. So a few are kept and
//! used again.
//!
//! A client that stops reading keeps the buffer that is on its way to it. So that many such clients
//! cannot fill the memory, buffers get smaller when many are in use.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The length of a buffer that is kept, in bytes: long enough that the way to the socket and back
/// costs little beside the copy, short enough to stay in a processor's second-level cache.
pub(super) const LENGTH: usize = 1 << 18;

/// Buffers that are kept when none is in use: 2 MiB.
const KEPT: usize = 8;

/// How long buffers are while less than this is in use, in bytes.
const LENGTHS: [(usize, usize); 3] = [
    (32 << 20, LENGTH),
    (64 << 20, 64 << 10),
    (128 << 20, 16 << 10),
];

/// How long they are beyond that budget, in bytes. 1,000 more clients take 4 MiB. None is refused: a
/// client that reads must not suffer from those that do not.
const SHORTEST: usize = 4 << 10;

#[derive(Debug, Default)]
pub(super) struct ReadBuffers {
    idle: Mutex<Vec<Box<[u8]>>>,
    /// How many bytes the buffers in use have together.
    in_use: AtomicUsize,
}

impl ReadBuffers {
    /// A buffer of [`LENGTH`] with old content, or a new one of just `length` if that is much less.
    /// It is shorter when many buffers are in use.
    pub(super) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let in_use = self.in_use.load(Ordering::Relaxed);
        let allowed = LENGTHS.iter().find(|(bound, _)| in_use < *bound);
        let allowed = allowed.map_or(SHORTEST, |(_, length)| *length);
        if length <= LENGTH / 8 || allowed < LENGTH {
            return self.counted(vec![0; length.min(allowed)].into());
        }
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        self.counted(idle.unwrap_or_else(|| vec![0; LENGTH].into()))
    }

    fn counted(self: &Arc<Self>, bytes: Box<[u8]>) -> Buffer {
        self.in_use.fetch_add(bytes.len(), Ordering::Relaxed);
        Buffer {
            bytes,
            filled: 0,
            home: Arc::clone(self),
        }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        self.in_use.fetch_sub(bytes.len(), Ordering::Relaxed);
        if bytes.len() != LENGTH {
            return;
        }
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
    home: Arc<ReadBuffers>,
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
        let bytes = mem::take(&mut self.bytes);
        self.home.give_back(bytes);
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
    fn buffers_get_shorter_when_many_are_in_use() {
        let buffers = Arc::new(ReadBuffers::default());
        let mut taken = Vec::new();
        for (bound, expected) in LENGTHS {
            assert_eq!(buffers.take(LENGTH).bytes.len(), expected);
            while buffers.in_use.load(Ordering::Relaxed) < bound {
                taken.push(buffers.take(LENGTH));
            }
        }
        let before = buffers.in_use.load(Ordering::Relaxed);
        taken.extend((0..1000).map(|_| buffers.take(LENGTH)));
        assert!(buffers.in_use.load(Ordering::Relaxed) <= before + (4 << 20));
        drop(taken);
        assert_eq!(buffers.in_use.load(Ordering::Relaxed), 0);
        assert_eq!(buffers.take(LENGTH).bytes.len(), LENGTH);
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
