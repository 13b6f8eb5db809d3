//! The backend against OpenLDAP's server, and against Samba as Active Directory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

#[path = "../../../identity/tests/conformance/mod.rs"]
#[expect(dead_code, reason = "the suite has cases for other backends, too")]
mod conformance;

mod active_directory;
mod bind_as_account;
mod failures;
mod labels;
mod load;
mod logins;
mod ranges;
mod sessions;
mod support;
mod tls;
