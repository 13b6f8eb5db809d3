//! Why a token is refused. The words are for the operator; a client learns none of them.

use common::rfc3339;
use identity::TokenRefusal;
use openid::SignatureProblem;
use token::TokenError;

use crate::account_template::ExpansionError;
use crate::condition::ClaimMismatch;

/// The longest token of a workload that is looked at, in bytes. Those of the known platforms have one
/// or two thousand.
pub(crate) const LONGEST_WORKLOAD_TOKEN: usize = 16 * 1024;

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenProblem {
    /// It is too long.
    #[error("it has {0} bytes, more than the {LONGEST_WORKLOAD_TOKEN} that a token may have")]
    TooLong(usize),
    /// It is not a token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A part is not JSON as it must be.
    #[error("its {part} cannot be read: {error}")]
    Json {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        error: String,
    },
    /// Its header brings a key.
    #[error("its header has {0:?}: the key must be one of the issuer's, named by kid")]
    KeyInHeader(&'static str),
    /// It is a token for another purpose.
    #[error("its typ is {0:?}, not JWT")]
    Kind(String),
    /// No trusted issuer made it.
    #[error("{}", match .0 {
        Some(issuer) => format!("iss is {issuer:?}, which is not a trusted issuer"),
        None => "it has no iss".to_owned(),
    })]
    Issuer(Option<String>),
    /// Its signature does not count.
    #[error(transparent)]
    Signature(#[from] SignatureProblem),
    /// It is for another service.
    #[error("aud is {found}, and must be {}", wanted.join(" or "))]
    Audience {
        /// What it says, as JSON.
        found: String,
        /// What it could say.
        wanted: Vec<String>,
    },
    /// A claim that must be there is not, or is of another type.
    #[error("{claim} is missing, or is not {wanted}")]
    Claim {
        /// Which claim.
        claim: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// It has expired.
    #[error("it expired at {}", rfc3339(*.0))]
    Expired(u64),
    /// It is not valid yet.
    #[error("it is not valid before {}", rfc3339(*.0))]
    NotYetValid(u64),
    /// It was issued in the future.
    #[error("it says that it was issued at {}, which is in the future", rfc3339(*.0))]
    IssuedLater(u64),
    /// No rule of the issuer takes it. With what each says, in their order.
    #[error("no rule takes it: {}", shown(.0))]
    NoRule(Vec<(String, ClaimMismatch)>),
    /// A rule takes it, and no account can be made of its claims.
    #[error("{place} takes it, but its account cannot be made: {error}")]
    Account {
        /// The rule.
        place: String,
        /// What is wrong.
        error: ExpansionError,
    },
}

impl TokenProblem {
    /// Whether the issuer made the token, although it does not log in.
    pub(crate) fn refusal(&self) -> TokenRefusal {
        match self {
            Self::TooLong(_)
            | Self::Token(_)
            | Self::Json { .. }
            | Self::KeyInHeader(_)
            | Self::Kind(_)
            | Self::Issuer(_)
            | Self::Signature(_) => TokenRefusal::Unverified,
            // These are looked for once the signature is verified.
            Self::Audience { .. }
            | Self::Claim { .. }
            | Self::Expired(_)
            | Self::NotYetValid(_)
            | Self::IssuedLater(_)
            | Self::NoRule(_)
            | Self::Account { .. } => TokenRefusal::Verified,
        }
    }
}

fn shown(rules: &[(String, ClaimMismatch)]) -> String {
    let rules = rules
        .iter()
        .map(|(place, mismatch)| format!("{place}: {mismatch}"));
    rules.collect::<Vec<_>>().join("; ")
}
