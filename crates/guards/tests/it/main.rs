//! Rules for the source of the whole workspace. Their lists of exceptions may only shrink.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test on the spot"
)]

mod circles;
mod dependencies;
mod fuzz_targets;
mod layers;
mod names;
mod secrets;
mod source;
mod words;
