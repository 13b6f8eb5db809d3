//! Notifications, from an event to what an endpoint gets, in each kind of database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod bench;
mod endpoints;
mod memory;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;

/// Each of these tests runs on each kind of database.
#[path = "."]
mod on_sqlite {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Sqlite;
    mod batches;
    mod stored;
}
#[path = "."]
mod on_postgres {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Postgres;
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod batches;
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod stored;
}
