//! Buffers that are used again. The kernel would have to map and clear the memory of a new buffer
//! for each piece.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The length of a buffer, in bytes.
pub(crate) const PIECE: usize = 256 * 1024;

/// A pool of buffers: as many as pieces were in use at the same time.
#[derive(Clone, Default)]
pub(crate) struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// A piece of `length` bytes, at most [`PIECE`], written by `fill`, whose error is returned. The
    /// buffer goes back to the pool when the piece is dropped.
    pub(crate) fn piece<E>(
        &self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = spare.unwrap_or_else(|| vec![0; PIECE]);
        let length = length.min(PIECE);
        fill(&mut buffer[..length])?;
        Ok(Bytes::from_owner(PooledBuffer {
            buffer,
            length,
            owner: self.clone(),
        }))
    }
}

/// A buffer in use.
struct PooledBuffer {
    buffer: Vec<u8>,
    length: usize,
    owner: BufferPool,
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.owner
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_its_piece_is_gone() {
        let buffers = BufferPool::default();
        let piece = |byte: u8| {
            let filled = buffers.piece(3, |to| {
                to.fill(byte);
                Ok::<(), ()>(())
            });
            filled.unwrap()
        };
        let (one, two) = (piece(1), piece(2));
        assert_eq!((&one[..], &two[..]), (&[1; 3][..], &[2; 3][..]));
        let (part, place) = (one.slice(1..), one.as_ptr());
        drop(one);
        assert_ne!(piece(3).as_ptr(), place, "a part of it is still needed");
        drop(part);
        assert_eq!(piece(4).as_ptr(), place);
        assert_eq!(buffers.piece(1, |_| Err::<(), _>("no")), Err("no"));
    }
}
