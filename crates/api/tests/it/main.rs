//! The API without a network, over a real database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a failure is a panic"
)]

mod account;
mod authority;
mod bench;
mod openapi;
mod requests;
mod schema;
mod users;
