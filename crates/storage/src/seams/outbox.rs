//! Records of changes, for delivery to other systems.

use std::fmt;

use oci::RepositoryName;

use crate::StorageFuture;

/// Records of changes, for delivery to other systems. A record is written in the transaction of its
/// change and kept until it is acknowledged.
///
/// Each consumer has records of a kind of its own. It reads and acknowledges these alone, so a
/// consumer that is behind holds up no other.
///
/// Records are not claimed: two readers of a kind get the same records.
pub trait OutboxStore: fmt::Debug + Send + Sync {
    /// At most `limit` records of `kind` after `after`, oldest first.
    fn records<'a>(
        &'a self,
        kind: &'a str,
        after: Option<OutboxRecordId>,
        limit: u32,
    ) -> StorageFuture<'a, Vec<OutboxRecord>>;

    /// Removes the delivered records of `kind`, up to and including `last`. Records that are gone
    /// already are no error.
    fn acknowledge<'a>(&'a self, kind: &'a str, last: OutboxRecordId) -> StorageFuture<'a, ()>;
}

/// The number of a record. Later records have larger numbers, whatever their kind. No number is used
/// twice.
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
    /// Which consumer it is for.
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
