//! The crate from outside: what is done with tokens, and logins by them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod conditions;
mod logins;
mod operations;
mod support;
