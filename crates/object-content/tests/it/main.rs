//! Content in a bucket of versitygw: the suite of all stores, requests, faults, the probe and adoption.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod adoption;
mod bucket;
#[path = "../../../storage/tests/it/content_suite.rs"]
mod content_suite;
mod credentials;
mod faults;
mod opening;
mod redirects;
mod requests;
mod suite;
mod uploads;
