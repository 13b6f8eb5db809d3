//! The crate from outside, against a server that speaks MongoDB's protocol.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first failure"
)]

#[path = "../../../identity/tests/conformance/mod.rs"]
mod conformance;
mod connecting;
mod failures;
mod outcomes;
mod rules;
#[path = "../../../identity/tests/stored_users/mod.rs"]
mod stored_users;
mod suite;
mod support;
