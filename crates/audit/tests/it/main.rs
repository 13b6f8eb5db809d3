//! The audit table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;
mod table;

use audit::AuditStore;
use database::{Database, DatabaseLocation};

/// A table in a file of its own.
struct Bench {
    store: AuditStore,
    database: Database,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::at(folder.path().join("db"));
        let database = Database::open_exclusive(&location).unwrap();
        Self {
            store: AuditStore::new(database.clone()),
            database,
            _folder: folder,
        }
    }
}
