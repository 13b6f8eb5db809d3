//! The API without a network, over a real database.

// The futures of a request are deep.
#![recursion_limit = "256"]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a failure is a panic"
)]

mod account;
mod audit;
mod authority;
mod bench;
mod explanations;
mod immutable_tags;
mod notifications;
mod openapi;
mod quotas;
mod requests;
mod robots;
mod rules;
mod schema;
mod sessions;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;
mod token_server;
mod tokens;
mod users;

/// Each of these tests runs on each kind of database.
#[path = "."]
mod on_sqlite {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Sqlite;
    #[path = "idempotency.rs"]
    mod idempotency;
}
#[path = "."]
mod on_postgres {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Postgres;
    #[path = "idempotency.rs"]
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod idempotency;
}
