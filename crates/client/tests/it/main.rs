//! The client against servers: real registries, and stubs that misbehave as those rarely do.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test on the spot"
)]

mod api;
mod archives;
mod device_login;
mod doctor;
mod downloads;
mod fallbacks;
mod flow;
mod images;
mod lists;
mod login;
mod prepared;
mod proxies;
mod redirects;
mod seed_004;
mod stub;
mod tls;
mod uploads;
