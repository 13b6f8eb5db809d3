//! Accounts and rules in a real database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a failure is a panic"
)]

mod backend;
#[path = "../../../identity/tests/conformance/mod.rs"]
mod conformance;
mod support;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;

/// Each of these tests runs on each kind of database.
#[path = "."]
mod on_sqlite {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Sqlite;
    #[path = "rules.rs"]
    mod rules;
    #[path = "store.rs"]
    mod store;
}
#[path = "."]
mod on_postgres {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Postgres;
    #[path = "rules.rs"]
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod rules;
    #[path = "store.rs"]
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod store;
}
