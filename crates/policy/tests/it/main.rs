//! What rules decide, seen from outside.

#![expect(clippy::unwrap_used, reason = "in a test, a failure is a panic")]

mod casbin;
mod decisions;
mod explanations;
mod fuzz;
mod matrix;
mod properties;
mod recorded;
mod refusals;
mod support;
