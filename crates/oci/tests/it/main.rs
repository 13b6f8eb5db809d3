//! What the crate does, seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test on the spot"
)]

mod descriptors;
mod forgiving;
mod fuzz;
mod manifests;
