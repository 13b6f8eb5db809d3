//! The API without a network, over a real database.

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
mod idempotency;
mod openapi;
mod requests;
mod robots;
mod rules;
mod schema;
mod sessions;
mod token_server;
mod tokens;
mod users;
