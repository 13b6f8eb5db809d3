//! Blobs that are taken in one go, while they are on their way. They have no row, so that is all
//! that is known of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many of them each client has.
#[derive(Clone, Default)]
pub(crate) struct PutCounter(Arc<Mutex<HashMap<String, u32>>>);

/// One of them, until this is dropped.
pub(crate) struct PutPermit {
    passing: PutCounter,
    client: String,
}

impl PutCounter {
    /// How many `client` has.
    pub(crate) fn of(&self, client: &str) -> u32 {
        self.lock().get(client).copied().unwrap_or(0)
    }

    /// A place for one more of `client`, who may have `limit`.
    pub(crate) fn enter(&self, client: String, limit: u32) -> Option<PutPermit> {
        let mut all = self.lock();
        match all.get_mut(&client) {
            Some(count) if *count < limit => *count += 1,
            None if limit > 0 => drop(all.insert(client.clone(), 1)),
            Some(_) | None => return None,
        }
        Some(PutPermit {
            passing: self.clone(),
            client,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PutPermit {
    fn drop(&mut self) {
        let mut all = self.passing.lock();
        match all.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(all.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_makes_room() {
        let passing = PutCounter::default();
        let enter = |limit| passing.enter("alice".to_owned(), limit);
        let first = enter(2).unwrap();
        let second = enter(2).unwrap();
        assert!(enter(2).is_none() && enter(0).is_none());
        assert_eq!((passing.of("alice"), passing.of("bob")), (2, 0));
        drop(first);
        assert!(enter(2).is_some());
        drop(second);
        assert!(passing.lock().is_empty(), "nobody is remembered for ever");
    }
}
