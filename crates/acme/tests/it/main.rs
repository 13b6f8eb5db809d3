//! The crate from outside: the stores against one suite, and orders at a real ACME server.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod bench;
mod failures;
mod orders;
mod renewal;
mod sharing;
mod stores;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;
