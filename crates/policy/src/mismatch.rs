//! Why a condition did not hold.

use serde::{Serialize, Serializer};

use crate::error::ConditionError;
use crate::query::API_TYPE;

/// How many combinations are tried for one pattern and query. Beyond it the pattern does not match.
pub const MAX_COMBINATIONS: usize = 1024;

/// Why a condition did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The value is another one.
    #[error("it does not match")]
    Differs,
    /// The account does not have the label.
    #[error("the account has no such label")]
    NoLabel,
    /// The client's address is not known.
    #[error("the client's address is not known")]
    NoAddress,
    /// The query is about the API, and the rule's type is not exactly the API's.
    #[error("the API needs a rule whose type is exactly {API_TYPE}")]
    NotForApi,
    /// What the variables stand for makes the pattern one that matches nothing.
    #[error("with its variables replaced, {0}")]
    Malformed(ConditionError),
    /// The values of its labels can be combined in too many ways.
    #[error("the labels it names have {0} combinations, and no more than {max} are tried", max = MAX_COMBINATIONS)]
    TooManyCombinations(usize),
}

impl Serialize for Mismatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
