//! The crate from outside: stores against one suite, providers that do right and wrong, the pages.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

#[path = "../../../identity/tests/conformance/mod.rs"]
mod conformance;

mod backend;
mod device;
mod gcs;
mod github;
mod gitlab;
mod google;
mod leveldb;
mod oidc;
mod oidc_stub;
mod pages;
mod redis;
mod stores;
mod stub;
mod support;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;
