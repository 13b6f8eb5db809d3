//! Connections to real servers: `cargo test -p postgresql --test it`.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test on the spot"
)]

mod outages;
mod pgbouncer;
mod statements;
mod support;
mod tls;
