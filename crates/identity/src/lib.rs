//! Who are you?
//!
//! A client shows a name and a password, or nothing. This crate says which of three it is, and never takes one for
//! another: *not asked* (the anonymous account, where it is open), *this subject*, or *refused*. Places that know
//! accounts are [`Authenticator`]s, asked one after the other by a [`Chain`].

mod accounts;
mod answer;
mod authenticator;
mod chain;
pub mod ext_auth;
#[cfg(test)]
mod fixtures;
mod flights;
mod guard;
pub mod htpasswd;
mod keyed;
mod login;
pub mod password;
pub mod process;
mod rate;
mod remembered;
mod secret;
mod static_users;
mod verifier;

pub use accounts::{Account, Accounts, Duplicate};
pub use answer::{Accepted, Answer, Credentials, Glance, Recheck, Stamp};
pub use authenticator::{Answering, Authenticator, BackendError, NoAnswer, Origin};
pub use chain::{Chain, Standing};
pub use ext_auth::ExtAuth;
pub use guard::{Admission, Guard};
pub use login::{Login, Outcome, Settings};
pub use password::{HashError, PasswordHash};
pub use rate::{Rate, RateError};
pub use remembered::Remembered;
pub use secret::Secret;
pub use static_users::StaticUsers;
pub use verifier::{PasswordVerifier, Refusal, Verdict, Workers};
