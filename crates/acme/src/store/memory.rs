//! Documents in memory, for tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::BoxFuture;

use super::{AcmeLease, AcmeStore, AcmeStoreError};

/// Keeps documents while the process runs.
#[derive(Clone, Default)]
pub struct MemoryAcmeStore(Arc<Documents>);

#[derive(Default)]
struct Documents {
    content: Mutex<HashMap<String, Vec<u8>>>,
    is_leased: AtomicBool,
}

struct MemoryLease(Arc<Documents>);

impl Documents {
    fn content(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AcmeStore for MemoryAcmeStore {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, AcmeStoreError>> {
        let found = self.0.content().get(name).cloned();
        Box::pin(async { Ok(found) })
    }

    fn lease(&self) -> BoxFuture<'_, Result<Option<Box<dyn AcmeLease>>, AcmeStoreError>> {
        let is_free = !self.0.is_leased.swap(true, Ordering::AcqRel);
        let lease =
            is_free.then(|| Box::new(MemoryLease(Arc::clone(&self.0))) as Box<dyn AcmeLease>);
        Box::pin(async { Ok(lease) })
    }
}

impl AcmeLease for MemoryLease {
    fn write<'a>(
        &'a self,
        name: &'a str,
        content: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<(), AcmeStoreError>> {
        let mut documents = self.0.content();
        match content {
            Some(content) => documents.insert(name.to_owned(), content.to_vec()),
            None => documents.remove(name),
        };
        Box::pin(async { Ok(()) })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), AcmeStoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        Box::pin(async {})
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        self.0.is_leased.store(false, Ordering::Release);
    }
}
