//! Uploads that requests of this process are writing to: one request at a time, and a limited number
//! for each client.
//!
//! Only the use of an upload is known here. Its row says how much was received.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time;

use crate::UploadId;

#[derive(Clone, Default)]
pub(crate) struct ActiveUploads(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    locks: HashMap<UploadId, Arc<AsyncMutex<()>>>,
    clients: HashMap<String, Vec<UploadId>>,
}

/// The right of one request to write to an upload, until it is dropped.
pub(crate) struct ActiveUpload {
    all: ActiveUploads,
    id: UploadId,
    client: Option<String>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl ActiveUploads {
    /// The active uploads of `client`.
    pub(crate) fn of(&self, client: &str) -> Vec<UploadId> {
        self.table()
            .clients
            .get(client)
            .cloned()
            .unwrap_or_default()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let table = self.table();
        // An upload that is not resumable has no lock, and one without a client has no entry.
        let counted = table.clients.values().map(Vec::len).sum::<usize>();
        counted.max(table.locks.len())
    }

    /// Waits until no other request writes to the upload, at most for `patience`.
    pub(crate) async fn lock(&self, id: UploadId, patience: Duration) -> Option<ActiveUpload> {
        let mut active = self.unlocked(id);
        let lock = Arc::clone(self.table().locks.entry(id).or_default());
        active.guard = Some(time::timeout(patience, lock.lock_owned()).await.ok()?);
        Some(active)
    }

    /// The upload, if no request writes to it now.
    pub(crate) fn try_lock(&self, id: UploadId) -> Option<ActiveUpload> {
        let mut active = self.unlocked(id);
        let lock = Arc::clone(self.table().locks.entry(id).or_default());
        active.guard = Some(lock.try_lock_owned().ok()?);
        Some(active)
    }

    /// A new upload of `client`, unless it has `limit` active ones.
    pub(crate) fn enter(&self, id: UploadId, client: &str, limit: u32) -> Option<ActiveUpload> {
        let mut table = self.table();
        let of_client = table.clients.entry(client.to_owned()).or_default();
        if of_client.len() >= limit as usize {
            if of_client.is_empty() {
                table.clients.remove(client);
            }
            return None;
        }
        of_client.push(id);
        drop(table);
        let mut active = self.unlocked(id);
        active.client = Some(client.to_owned());
        Some(active)
    }

    /// Whether no request writes to an upload.
    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table();
        table.locks.is_empty() && table.clients.is_empty()
    }

    fn unlocked(&self, id: UploadId) -> ActiveUpload {
        ActiveUpload {
            all: self.clone(),
            id,
            client: None,
            guard: None,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveUpload {
    /// Counts the upload as one of `client`.
    pub(crate) fn count_for(&mut self, client: &str) {
        let mut table = self.all.table();
        let of_client = table.clients.entry(client.to_owned()).or_default();
        of_client.push(self.id);
        self.client = Some(client.to_owned());
    }
}

impl Drop for ActiveUpload {
    fn drop(&mut self) {
        self.guard = None;
        let mut table = self.all.table();
        if let Some(lock) = table.locks.get(&self.id)
            && Arc::strong_count(lock) == 1
        {
            table.locks.remove(&self.id);
        }
        if let Some(client) = self.client.take()
            && let Some(of_client) = table.clients.get_mut(&client)
        {
            if let Some(at) = of_client.iter().position(|id| *id == self.id) {
                of_client.swap_remove(at);
            }
            if of_client.is_empty() {
                table.clients.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> UploadId {
        UploadId::from_random([number; 16])
    }

    #[test]
    fn an_upload_that_ends_makes_room() {
        let all = ActiveUploads::default();
        let first = all.enter(id(1), "alice", 2).unwrap();
        let second = all.enter(id(2), "alice", 2).unwrap();
        assert!(all.enter(id(3), "alice", 2).is_none());
        assert!(all.enter(id(3), "bob", 0).is_none());
        assert_eq!(all.of("alice"), [id(1), id(2)]);
        assert!(all.of("bob").is_empty());
        drop(first);
        drop(all.enter(id(3), "alice", 2).unwrap());
        drop(second);
        assert!(all.is_empty());
    }

    #[tokio::test]
    async fn one_request_at_a_time() {
        let all = ActiveUploads::default();
        let patience = Duration::from_millis(50);
        let mut held = all.lock(id(1), patience).await.unwrap();
        assert!(!all.is_empty());
        held.count_for("alice");
        assert_eq!(all.of("alice"), [id(1)]);
        assert!(all.try_lock(id(1)).is_none());
        assert!(all.lock(id(1), patience).await.is_none());
        let (waits, ()) = tokio::join!(all.lock(id(1), patience), async { drop(held) });
        assert!(waits.is_some());
        drop(waits);
        assert!(all.is_empty());
    }
}
