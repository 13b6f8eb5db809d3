//! Records of changes, for delivery to other systems.

use std::fmt;

use oci::RepositoryName;

use crate::StorageFuture;

/// Records of changes, for delivery to other systems. A record is written in the transaction of its
/// change and kept until it is acknowledged.
///
/// Records are not claimed: two readers get the same records.
pub trait OutboxStore: fmt::Debug + Send + Sync {
    /// At most `limit` records after `after`, oldest first.
    fn records(
        &self,
        after: Option<OutboxRecordId>,
        limit: u32,
    ) -> StorageFuture<'_, Vec<OutboxRecord>>;

    /// Removes the delivered records, up to and including `last`. Records that are gone already are
    /// no error.
    fn acknowledge(&self, last: OutboxRecordId) -> StorageFuture<'_, ()>;
}

/// The number of a record. Later records have larger numbers. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxRecordId(i64);

impl OutboxRecordId {
    /// The id with this number.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

/// A record that is to be written with a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutboxRecord {
    /// What happened, in the words of the reader.
    pub kind: String,
    /// What else the reader needs.
    pub payload: Vec<u8>,
}

/// A record of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    /// Its number.
    pub id: OutboxRecordId,
    /// The repository that was changed.
    pub repository: RepositoryName,
    /// What was written with the change.
    pub record: NewOutboxRecord,
    /// The time of the change, in seconds since the Unix epoch.
    pub created_at: i64,
}
