//! Accounts and rules in a real database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a failure is a panic"
)]

mod backend;
#[path = "../../../identity/tests/conformance/mod.rs"]
mod conformance;
mod rules;
mod store;
mod support;
