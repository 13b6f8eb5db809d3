//! The crate from outside: backends against one suite, and a whole login
//! it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod backends;
#[path = "../conformance/mod.rs"]
mod conformance;
mod ext_auth;
mod http_auth;
mod lines;
mod login;
mod recheck;
mod recognized;
mod spelling;
mod support;
