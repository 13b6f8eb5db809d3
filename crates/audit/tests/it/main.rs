//! The audit table, in each kind of database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod order;
mod recording;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;

/// Each of these tests runs on each kind of database.
#[path = "."]
mod on_sqlite {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Sqlite;
    mod table;
}
#[path = "."]
mod on_postgres {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Postgres;
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod table;
}

use audit::AuditStore;
use database::Database;

use crate::test_database::{DatabaseKind, TestDatabase};

/// A table in a database of its own.
struct Bench {
    store: AuditStore,
    database: Database,
    _place: TestDatabase,
}

impl Bench {
    fn new(kind: DatabaseKind) -> Self {
        let place = TestDatabase::new(kind);
        Self {
            store: AuditStore::new(place.database.clone()),
            database: place.database.clone(),
            _place: place,
        }
    }
}
