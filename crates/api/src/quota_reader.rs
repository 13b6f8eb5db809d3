//! What the API asks for quotas, and what it answers.

use std::error::Error;

use common::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::ApiProblem;

/// A quota of the configuration and what is used of it, as commands with `--json` show it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Quota")]
pub struct QuotaView {
    /// A repository, or the first components of names: `team` is `team` and `team/app`, not `team2`;
    /// `*` is every repository.
    pub prefix: String,
    /// The content of its repositories, in bytes: each blob once.
    pub bytes: QuotaAmountView,
    /// The tags of its repositories.
    pub tags: QuotaAmountView,
    /// The share of a limit at which the server warns, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<u8>,
}

/// How much is used, and may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "QuotaAmount")]
pub struct QuotaAmountView {
    /// How much is used. It may be more than the limit: that was lowered, or the content was there before.
    pub used: u64,
    /// The limit; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What the API asks for quotas: the program has them in its configuration, and what is used in its
/// database.
pub trait QuotaReader: Send + Sync {
    /// The quotas whose prefix comes after `after`, by prefix, at most `limit`. An empty `after` comes
    /// before all.
    fn quotas<'a>(
        &'a self,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<QuotaView>, QuotaReaderError>>;
}

/// Why it is not known what is used.
#[derive(Debug, thiserror::Error)]
pub enum QuotaReaderError {
    /// The database cannot be reached now.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The database failed.
    #[error("the database failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl From<QuotaReaderError> for ApiProblem {
    fn from(error: QuotaReaderError) -> Self {
        match error {
            QuotaReaderError::Unavailable(cause) => Self::unavailable(cause),
            QuotaReaderError::Failed(cause) => Self::internal(cause),
        }
    }
}
