//! Where sign-ins are kept.
//!
//! A store keeps small *documents* of a user. It does not read them. So every store is a few calls,
//! and the rules about records and passwords are written once, above it.

mod database;
mod gcs;
mod listing;
mod memory;
mod redis;

use std::error::Error;

use common::BoxFuture;

pub use self::database::DatabaseTokenStore;
pub use self::gcs::{GcsSettings, GcsTokenStore, ServiceAccountKey, ServiceAccountKeyError};
pub use self::memory::MemoryTokenStore;
pub use self::redis::{
    HostPort, RedisAddress, RedisServers, RedisSettings, RedisTls, RedisTokenStore,
};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentKind {
    /// `docker_auth`'s JSON.
    Record,
    /// The named passwords, and who the user is at the provider.
    Passwords,
    /// How a name is written that is kept here in lower case.
    Spelling,
}

/// A store of documents.
///
/// # Contract
/// - Names compare byte by byte. The empty name has no document.
/// - [`write`](Self::write) is atomic: it changes nothing unless the document is still what the
///   caller read. So two servers may share a store.
/// - What it changes is durable when its future is ready, and visible to the next call.
/// - A future may be dropped at any await. Its change then happens as a whole or not at all.
///
/// One suite in `tests/it/stores.rs` holds every implementation to this.
pub trait TokenStore: Send + Sync {
    /// The document of `user`.
    fn read<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TokenStoreError>>;

    /// Replaces the document if it is still `before`. Absent ones are `None`, so this also creates
    /// and removes. Returns whether it was.
    fn write<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
        before: Option<&'a [u8]>,
        after: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<bool, TokenStoreError>>;

    /// The names of all users with a record, in the order of their bytes.
    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, TokenStoreError>>;
}

/// Why a store has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TokenStoreError {
    /// It cannot be reached, or does not answer in time.
    #[error("the token store cannot be reached")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It answers, and the operator must act.
    #[error("the token store failed")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

impl DocumentKind {
    /// The word for it in tables and keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Passwords => "passwords",
            Self::Spelling => "spelling",
        }
    }
}
