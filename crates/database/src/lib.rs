//! The database, with everything that must survive a power cut and is not a blob.
//!
//! It is one SQLite file ([`SqliteDatabase`]). One server opens it ([`Database::open_exclusive`]), and
//! so may commands while the server runs ([`Database::open`]). *Reads* run in parallel, each on its own
//! snapshot. *Writes* go to one thread, which commits them in groups. A write returns after its commit,
//! so acknowledged work is on the disk.
//!
//! The tables are here, too (`migrations/`). The statements are in the crates that need them. Names
//! compare as bytes, which is SQLite's default. The administration log ([`log_change`]) is here,
//! because every crate with something to administer writes it.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use database::{Database, DatabaseConnection, DatabaseLocation, params};
//!
//! let database = Database::open_exclusive(&DatabaseLocation::at(directory.path().join("wharfinger.db"))).unwrap();
//! let write = database.write(|connection: &DatabaseConnection| {
//!     connection.execute("DELETE FROM refresh_tokens WHERE account = ?1", params!["ann"])
//! });
//! assert_eq!(write.await.unwrap(), 0);
//! # });
//! ```

mod administration;
mod attempts;
mod audit_copy;
mod changes;
mod column_time;
mod connection;
mod copies;
mod error;
mod handle;
mod location;
mod postgres;
mod read_only;
mod row;
mod row_chunks;
mod secret;
mod small_tables;
mod sqlite;
mod system_user;
mod table_rows;
mod tag_history_copy;
mod value;
mod version;

pub use administration::{
    AdministrationEntry, AdministrationFilter, AdministrationRecord, AdministrativeChange,
    Administrator, log_change, logged_changes,
};
pub use attempts::{AttemptBucket, AttemptCounts};
pub use changes::ChangeCounts;
pub use column_time::{column_seconds, column_time};
pub use connection::DatabaseConnection;
pub use copies::CopyState;
pub use error::{DatabaseCause, Error};
pub use handle::{Database, migrate, pending_migration, schema_version};
pub use location::{DatabaseLocation, DatabaseLocationError};
pub use postgres::{MigrationReport, SCHEMA_VERSION, SchemaError, SchemaVersion};
pub use row::{Column, DatabaseRow};
pub use row_chunks::{row_chunks, row_placeholders};
pub use secret::ClusterSecret;
pub use small_tables::SmallTablesError;
pub use sqlite::{
    Activity, BUSY_TIMEOUT, CommitStatistics, DatabaseOpenError, FileRefusal, SqliteDatabase,
};
pub use system_user::system_user;
pub use value::{DatabaseValue, FromValue, ToValue};
pub use version::{ObjectVersion, Precondition, PreconditionFailed};
