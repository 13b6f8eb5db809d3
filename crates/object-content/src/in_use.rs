//! Which objects this process reads. One that is removed meanwhile could not be read to its end if
//! the connection breaks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The objects that are read now, and by how many readers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectsInUse(Arc<Mutex<HashMap<String, usize>>>);

/// One reader of an object, until it is dropped.
#[derive(Debug)]
pub(crate) struct ObjectUse {
    objects: ObjectsInUse,
    key: String,
}

impl ObjectsInUse {
    /// From now on, `key` is in use.
    pub(crate) fn enter(&self, key: &str) -> ObjectUse {
        *self.counts().entry(key.to_owned()).or_default() += 1;
        ObjectUse {
            objects: self.clone(),
            key: key.to_owned(),
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.counts().contains_key(key)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ObjectUse {
    fn drop(&mut self) {
        let mut counts = self.objects.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_in_use_until_its_last_reader_ends() {
        let objects = ObjectsInUse::default();
        let (one, two) = (objects.enter("k"), objects.enter("k"));
        drop(one);
        assert!(objects.has("k") && !objects.has("l"));
        drop(two);
        assert!(!objects.has("k"));
    }
}
