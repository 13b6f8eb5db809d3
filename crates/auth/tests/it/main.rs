//! The token server without a socket: requests in, responses out.

// The futures of a request are deep.
#![recursion_limit = "256"]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first failure"
)]

mod api_scopes;
mod casbin;
mod endpoint;
mod events;
mod exchange;
mod external_policies;
mod limits;
mod refresh;
mod sessions;
mod stored_rules;
mod support;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;

/// Each of these tests runs on each kind of database.
#[path = "."]
mod on_sqlite {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Sqlite;
    #[path = "device/mod.rs"]
    mod device;
}
#[path = "."]
mod on_postgres {
    const KIND: crate::test_database::DatabaseKind = crate::test_database::DatabaseKind::Postgres;
    #[path = "device/mod.rs"]
    #[expect(clippy::duplicate_mod, reason = "it runs on both kinds")]
    mod device;
}
