//! Sign-ins in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::BoxFuture;

use super::{DocumentKind, TokenStore, TokenStoreError};

type Documents = BTreeMap<(DocumentKind, String), Vec<u8>>;

/// Keeps documents until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryTokenStore(Mutex<Documents>);

impl MemoryTokenStore {
    fn documents(&self) -> MutexGuard<'_, Documents> {
        // No code panics while it holds the lock, so the map is whole even if it is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for MemoryTokenStore {
    fn read<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TokenStoreError>> {
        let found = self.documents().get(&(kind, user.to_owned())).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn write<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
        before: Option<&'a [u8]>,
        after: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<bool, TokenStoreError>> {
        Box::pin(async move {
            let key = (kind, user.to_owned());
            let mut documents = self.documents();
            if documents.get(&key).map(Vec::as_slice) != before {
                return Ok(false);
            }
            match after {
                Some(after) => documents.insert(key, after.to_vec()),
                None => documents.remove(&key),
            };
            Ok(true)
        })
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, TokenStoreError>> {
        let documents = self.documents();
        let records = documents
            .keys()
            .filter(|(kind, _)| *kind == DocumentKind::Record);
        let users = records.map(|(_, user)| user.clone()).collect();
        Box::pin(std::future::ready(Ok(users)))
    }
}
