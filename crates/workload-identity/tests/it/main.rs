//! The crate from outside: platforms on loopback, their tokens, and what comes of each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod backend;
mod bad_tokens;
mod keys;
mod platform;
mod presets;
mod support;
