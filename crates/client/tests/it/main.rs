//! The client against servers: the real registries, and stubs that misbehave in ways that those do
//! only on bad days.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test on the spot"
)]

mod archives;
mod doctor;
mod downloads;
mod flow;
mod images;
mod login;
mod redirects;
mod seed_004;
mod stub;
mod tls;
mod uploads;
