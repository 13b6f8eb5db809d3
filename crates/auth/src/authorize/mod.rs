//! What may they do: the chain of policies.
//!
//! The first policy that knows the answer decides; a policy that fails ends the request with an
//! error, for an answer from the next one might grant what the first would have refused.

mod ext_authz;

use identity::process::ProcessError;
use policy::{Acl, AclQuery};

use ext_authz::ExtAuthzError;

pub use ext_authz::ExtAuthz;

/// One policy of the chain.
pub enum Authorizer {
    /// The rules of the configuration file.
    Acl(Box<Acl>),
    /// A program that is asked.
    ExtAuthz(ExtAuthz),
}

/// What became of one scope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The actions granted, sorted; a subset of those asked for.
    pub(crate) granted: Vec<String>,
    /// Who decided.
    pub(crate) by: DecidedBy,
}

/// Which policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecidedBy {
    /// The rule of this index in `acl`, counted from 0.
    Rule(usize),
    /// The program of `ext_authz`.
    ExtAuthz,
    /// Nobody: access is denied by default.
    Default,
}

/// A policy that could not answer.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// The program of `ext_authz` could not be run, took too long, or ended with a code that means
    /// nothing.
    #[error("ext_authz gave no answer")]
    ExtAuthz(#[source] ExtAuthzError),
    /// Too many wait for the program of `ext_authz` already.
    #[error("too many wait for ext_authz already")]
    Busy,
}

impl From<ExtAuthzError> for AuthorizeError {
    fn from(error: ExtAuthzError) -> Self {
        match error {
            ExtAuthzError::Process(ProcessError::Busy) => Self::Busy,
            error => Self::ExtAuthz(error),
        }
    }
}

/// Asks each of `chain` in turn.
pub(crate) async fn decide(
    chain: &[Authorizer],
    query: &AclQuery<'_>,
) -> Result<Decision, AuthorizeError> {
    for authorizer in chain {
        match authorizer {
            Authorizer::Acl(acl) => {
                if let Some(decision) = acl.decide(query) {
                    return Ok(Decision {
                        granted: decision.granted,
                        by: DecidedBy::Rule(decision.rule),
                    });
                }
            }
            Authorizer::ExtAuthz(program) => {
                let granted = program.decide(query).await?;
                return Ok(Decision {
                    granted,
                    by: DecidedBy::ExtAuthz,
                });
            }
        }
    }
    Ok(Decision {
        granted: Vec::new(),
        by: DecidedBy::Default,
    })
}
