//! Small content, in memory: mostly the configurations of images, which every pull reads. Content
//! never changes, so it is right as long as its row is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The largest content that is kept, in bytes.
pub(crate) const SMALL: u64 = 64 << 10;
/// How much is kept, in bytes. Beyond that, what was not read for longest is dropped.
const LIMIT: usize = 64 << 20;
/// What an entry takes besides its content, about, in bytes.
const OVERHEAD: usize = 512;

/// Small content by its key.
#[derive(Debug, Default)]
pub(crate) struct SmallContent(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    /// The keys in the order in which they were read last.
    by_use: BTreeMap<u64, String>,
    size: usize,
    last_use: u64,
}

#[derive(Debug)]
struct Entry {
    content: Bytes,
    used: u64,
}

impl SmallContent {
    pub(crate) fn find(&self, key: &str) -> Option<Bytes> {
        let entries = &mut *self.entries();
        let entry = entries.by_key.get_mut(key)?;
        entries.last_use += 1;
        entries.by_use.remove(&entry.used);
        entry.used = entries.last_use;
        entries.by_use.insert(entry.used, key.to_owned());
        Some(entry.content.clone())
    }

    pub(crate) fn keep(&self, key: &str, content: Bytes) {
        let mut entries = self.entries();
        entries.remove(key);
        entries.size += content.len() + OVERHEAD;
        entries.last_use += 1;
        let used = entries.last_use;
        entries.by_use.insert(used, key.to_owned());
        let entry = Entry { content, used };
        entries.by_key.insert(key.to_owned(), entry);
        while entries.size > LIMIT {
            let Some((_, oldest)) = entries.by_use.first_key_value() else {
                return;
            };
            let oldest = oldest.clone();
            entries.remove(&oldest);
        }
    }

    pub(crate) fn remove(&self, key: &str) {
        self.entries().remove(key);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.by_use.remove(&entry.used);
            self.size -= entry.content.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_for_longest_is_dropped() {
        let small = SmallContent::default();
        let content = Bytes::from(vec![0; LIMIT / 4 - OVERHEAD]);
        for key in ["a", "b", "c", "d"] {
            small.keep(key, content.clone());
        }
        assert!(small.find("a").is_some());
        small.keep("e", content.clone());
        assert!(small.find("b").is_none(), "it was read before `a`");
        assert!(small.find("a").is_some());
        small.remove("a");
        assert!(small.find("a").is_none());
        small.keep("c", content);
        assert_eq!(small.entries().size, 3 * LIMIT / 4);
        assert_eq!(small.entries().by_use.len(), 3);
    }
}
