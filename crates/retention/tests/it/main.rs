//! Decisions, by examples and against their definition.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test on the spot"
)]

mod decisions;
mod definition;
