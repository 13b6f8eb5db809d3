//! Why an operation on robots and personal tokens fails.

use std::time::Duration;

use common::EntropyError;
use database::PreconditionFailed;
use identity::BackendError;

/// The most networks from which a robot or a token can be used.
pub const MAX_NETWORKS: usize = 100;

/// Why an operation failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersonalTokensError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The system has no randomness for a secret.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The owner's backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No backend has the owner's account.
    #[error("no backend has the account {0:?}")]
    OwnerUnknown(String),
    /// Whether the owner is still there could not be checked at each use.
    #[error("{backend} cannot say without a password whether {account:?} is still there")]
    OwnerUnverifiable {
        /// The account.
        account: String,
        /// The backend's section in the configuration.
        backend: &'static str,
    },
    /// A robot's account cannot own others.
    #[error("a robot cannot own robots or tokens")]
    OwnedByRobot,
    /// Another one has the name.
    #[error("{0:?} exists already")]
    NameTaken(String),
    /// It would last too long.
    #[error("it would last longer than personal_tokens.max_ttl allows ({} days)", .0.as_secs() / 86_400)]
    TooLong(Duration),
    /// It would never be valid.
    #[error("it would end at once")]
    TooShort,
    /// The owner has as many as one may have.
    #[error(
        "{owner:?} owns {limit} robots and tokens, which is the limit of personal_tokens.per_owner"
    )]
    TooMany {
        /// The owner.
        owner: String,
        /// The limit.
        limit: u32,
    },
    /// It could be used from too many networks.
    #[error("at most {MAX_NETWORKS} networks are allowed")]
    TooManyNetworks,
    /// A robot of the system could do everything.
    #[error("a robot of the system needs a ceiling")]
    NoCeiling,
    /// It is no longer what the change was made for.
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    /// None fits the filter.
    #[error("there is no robot or personal token with this name or id, or it was revoked already")]
    NotFound,
    /// Several fit the filter.
    #[error("several tokens have that name")]
    Ambiguous,
}
