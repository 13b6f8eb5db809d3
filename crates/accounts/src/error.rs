//! Why operations on accounts fail.

use common::EntropyError;
use database::PreconditionFailed;
use identity::password::Argon2idError;

use crate::labels::LabelError;

/// The longest password, in bytes.
pub const MAX_PASSWORD: usize = 4096;

/// Why an operation on an account failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is taken.
    #[error("the account {0:?} exists already")]
    Exists(String),
    /// There is no such account.
    #[error("there is no account {0:?} in the database")]
    Unknown(String),
    /// The password is empty: such an account would be open to all.
    #[error("the password is empty")]
    NoPassword,
    /// The password is too long.
    #[error("the password has {0} bytes, and at most {MAX_PASSWORD} are allowed")]
    LongPassword(usize),
    /// The labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// The account is no longer what the change was made for.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// The password cannot be hashed.
    #[error("the password cannot be hashed")]
    Hash(#[from] Argon2idError),
    /// The system has no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}
