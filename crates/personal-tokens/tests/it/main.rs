//! The crate from outside: what is done with tokens, and logins by them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod support;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;

/// Each of these tests runs on each kind of database.
#[path = "."]
mod on_sqlite {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Sqlite;
    #[path = "conditions.rs"]
    mod conditions;
    #[path = "logins.rs"]
    mod logins;
    #[path = "operations.rs"]
    mod operations;
}
#[path = "."]
mod on_postgres {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Postgres;
    #[path = "conditions.rs"]
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod conditions;
    #[path = "logins.rs"]
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod logins;
    #[path = "operations.rs"]
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod operations;
}
