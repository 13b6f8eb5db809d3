//! The ends of uploads, in memory.
//!
//! A part that is shorter than the others cannot be followed by another one. It is sent again when
//! more content comes, so its content is kept for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use storage::UploadId;

/// How much is kept, in bytes. Beyond that, the end that is oldest is dropped first.
const LIMIT: usize = 64 << 20;

/// The ends of uploads.
#[derive(Debug, Default)]
pub(crate) struct Tails(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    tails: HashMap<UploadId, Tail>,
    size: usize,
    last: u64,
}

/// The end of an upload.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    /// The length of the whole upload, in bytes.
    pub(crate) length: u64,
    pub(crate) content: Vec<Bytes>,
    /// Whether the store may have another part in place of it.
    pub(crate) is_replaced: bool,
    number: u64,
}

impl Tail {
    fn size(&self) -> usize {
        self.content.iter().map(Bytes::len).sum()
    }
}

impl Tails {
    /// The end of an upload of this length, if it is here.
    pub(crate) fn find(&self, upload: UploadId, length: u64) -> Option<Tail> {
        let table = self.table();
        let tail = table.tails.get(&upload);
        tail.filter(|tail| tail.length == length).cloned()
    }

    /// Keeps the end of an upload.
    pub(crate) fn keep(&self, upload: UploadId, length: u64, content: &[Bytes]) {
        let mut table = self.table();
        table.remove(upload);
        table.last += 1;
        // Chunks may be small parts of large buffers, which are not counted.
        let content = vec![Bytes::from(content.concat())];
        let tail = Tail {
            length,
            content,
            is_replaced: false,
            number: table.last,
        };
        table.size += tail.size();
        table.tails.insert(upload, tail);
        while table.size > LIMIT {
            // One that the store lacks is needed more.
            let oldest = table.tails.iter();
            let oldest = oldest.min_by_key(|(_, tail)| (tail.is_replaced, tail.number));
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                return;
            };
            table.remove(oldest);
        }
    }

    /// From now on, the store may have another part in place of this upload's end.
    pub(crate) fn mark_replaced(&self, upload: UploadId) {
        if let Some(tail) = self.table().tails.get_mut(&upload) {
            tail.is_replaced = true;
        }
    }

    /// Forgets the end of an upload.
    pub(crate) fn remove(&self, upload: UploadId) {
        self.table().remove(upload);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, upload: UploadId) {
        if let Some(tail) = self.tails.remove(&upload) {
            self.size -= tail.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_end_is_dropped_first_and_one_that_the_store_lacks_last() {
        let tails = Tails::default();
        let id = |number| UploadId::from_random([number; 16]);
        let content = || vec![Bytes::from(vec![0; LIMIT / 4])];
        for number in 1..=4 {
            tails.keep(id(number), 7, &content());
        }
        tails.mark_replaced(id(1));
        tails.keep(id(5), 7, &content());
        assert!(tails.find(id(1), 7).unwrap().is_replaced);
        assert!(tails.find(id(2), 7).is_none());
        assert!(tails.find(id(3), 7).is_some());
        assert!(tails.find(id(3), 8).is_none(), "of another length");
        tails.remove(id(3));
        assert!(tails.find(id(3), 7).is_none());
    }
}
