//! The crate from outside, against real PostgreSQL and MariaDB servers and SQLite files.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first failure"
)]

#[expect(
    dead_code,
    reason = "no backend of this crate rejects an empty password"
)]
#[path = "../../../identity/tests/conformance/mod.rs"]
mod conformance;
mod connecting;
mod failures;
mod outcomes;
mod pooler;
mod rules;
#[path = "../../../identity/tests/stored_users/mod.rs"]
mod stored_users;
mod suite;
mod support;
mod tables;
mod tls;
