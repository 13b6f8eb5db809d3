//! The registry as its clients see it, request by request, without a network.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test on the spot"
)]

mod access;
mod bad_input;
mod catalog;
mod events;
mod faults;
mod immutable;
mod postgres;
mod proxies;
mod quotas;
mod ranges;
mod referrers;
mod script;
mod specification;
mod tokens;
mod transfers;
mod upload_grace;
mod upstream;
mod world;
