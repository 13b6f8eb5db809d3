//! Password verification whose cost does not depend on what a client sends.
//!
//! A verification is slow by design. So it runs on threads of its own ([`WorkerPool`]), a few at a
//! time. And every rejection costs the same: what it takes to reject the costliest accounts. A wrong
//! password for a cheaper account is topped up to that cost, and an unknown account costs all of it.
//! So the time of a rejection says nothing about the account.
//!
//! Costs are counted for each kind of hash apart ([`HashCost`](crate::password::HashCost)). If a
//! file mixes bcrypt and argon2id, each rejection computes both, because only the same work takes
//! the same time on every machine.

mod password_verifier;
mod rejection;
mod workers;

pub use self::password_verifier::{PasswordCheck, PasswordVerifier};
pub use self::rejection::Rejection;
pub use self::workers::{WorkerPool, WorkerStatistics};
