//! Where keys and certificates are kept, and which server may change them.

mod directory;
mod memory;
mod rows;

use std::error::Error;

use common::BoxFuture;

pub use self::directory::CacheDirectory;
pub use self::memory::MemoryAcmeStore;
pub use self::rows::AcmeRows;
use crate::CertificateHost;

/// The name of the account's private key, which is autocert's.
pub(crate) const ACCOUNT_KEY: &str = "acme_account+key";

/// The name of the answers to open challenges. No host has such a name.
pub(crate) const ANSWERS: &str = "acme_challenges+json";

/// The name of what is known of a host's failed attempts.
pub(crate) fn attempts(host: &CertificateHost) -> String {
    format!("{host}+attempts")
}

/// Documents under names, of which one server at a time may change some.
///
/// Every implementation passes the suite in `tests/it/stores.rs`.
pub trait AcmeStore: Send + Sync {
    /// The document `name`; `None` if it does not exist.
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, AcmeStoreError>>;

    /// The right to change documents; `None` if another server has it.
    fn lease(&self) -> BoxFuture<'_, Result<Option<Box<dyn AcmeLease>>, AcmeStoreError>>;
}

/// The right to change the documents of a store. It ends when the process ends, at the latest a
/// minute later.
pub trait AcmeLease: Send + Sync {
    /// Replaces the document `name`, or removes it, as a whole: a reader, and a server that dies, find
    /// the old or the new one. It is on the disk when this returns.
    ///
    /// Fails with [`AcmeStoreError::Lost`] if another server has the lease.
    fn write<'a>(
        &'a self,
        name: &'a str,
        content: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<(), AcmeStoreError>>;

    /// Extends the lease. It must be called every 20 seconds.
    ///
    /// Fails with [`AcmeStoreError::Lost`] if another server has the lease.
    fn renew(&self) -> BoxFuture<'_, Result<(), AcmeStoreError>>;

    /// Ends the lease.
    fn release(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
pub enum AcmeStoreError {
    /// It cannot be used now.
    #[error("{what}")]
    Failed {
        /// What was to be done with what, such as `cannot write /cache/registry.example.com`.
        what: String,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another server has the lease.
    #[error("another server has taken over the order")]
    Lost,
}
