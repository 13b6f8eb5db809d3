//! Metadata in SQLite.
//!
//! Every method of the seams is one transaction of the [`database`]. Reads use a snapshot. Writes
//! share a commit with other writes. There is one writer at a time, so a row that a write has read
//! cannot change before its end, and nothing here needs a lock. An implementation with several
//! writers does (`FOR UPDATE`).

mod adoption;
mod backup;
mod blobs;
mod collection;
mod columns;
mod duties;
mod error;
mod inventory;
mod manifest_rows;
mod manifests;
mod objects;
mod outbox;
mod pages;
mod push;
mod quotas;
mod retention;
mod store;
mod tag_history;
mod unneeded_manifests;
mod uploads;
mod watch;

pub use store::Sqlite;

use store::seconds;
