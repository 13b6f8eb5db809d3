//! Metadata in PostgreSQL, which several servers use at once.
//!
//! Each step is one function of the database (`crates/database/migrations/postgresql`), so it is one
//! round trip, one transaction at READ COMMITTED, and keeps its plan behind a pooler. What is locked,
//! and in which order, is said there.
//!
//! What a server has in memory is answered only after a [look](look) at what other servers have
//! changed. Times are the database's own, so the clocks of the servers decide nothing. An upload is
//! written to by the server that has its lease. Work for all servers is a *duty*, which one of them
//! has at a time.

mod adoption;
mod blobs;
mod clock;
mod collection;
mod columns;
mod duties;
mod error;
mod inventory;
mod look;
mod manifest_changes;
mod manifests;
mod memory;
mod outbox;
mod pages;
mod prune;
mod quotas;
mod retention;
mod store;
mod tag_history;
mod uploads;

pub use clock::DatabaseClock;
pub use look::LookPeriods;
pub use store::{PostgresMetadata, PostgresSettings};
