//! Metadata in memory: the seams as simply as they can be implemented.
//!
//! It is the place to read what the methods of the seams do, without any database, and it serves
//! tests. It passes the same conformance suite as every other implementation
//! (`tests/it/conformance`). All of it is gone with the process.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//! use common::SystemClock;
//! use storage::memory::MemoryMetadata;
//! use storage::{Error, ManifestStore, Retention};
//!
//! let metadata = MemoryMetadata::new(Retention::default(), Arc::new(SystemClock));
//! let (repository, tag) = ("library/app".parse().unwrap(), "latest".parse().unwrap());
//! let found = ManifestStore::find(&metadata, &repository, &tag).await;
//! assert!(matches!(found, Err(Error::RepositoryUnknown)));
//! # });
//! ```

mod adoption;
mod blobs;
mod collection;
mod duties;
mod inventory;
mod manifests;
mod metadata;
mod outbox;
mod quotas;
mod retention;
mod tables;
mod tag_history;
mod uploads;

pub use metadata::MemoryMetadata;
