//! The client that a request comes from, as far as it proved its identity.

use std::sync::Arc;

use oci::RepositoryName;
use token::VerifiedToken;

/// The client of a request.
#[derive(Clone)]
pub(crate) enum Principal {
    /// Any client, where every client may do everything.
    Anyone,
    /// An account that proved its password and may do everything.
    Account(String),
    /// The bearer of this token.
    Token(Arc<VerifiedToken>),
}

/// The repositories that a principal may pull from.
pub(crate) enum PullableRepositories {
    /// All of them.
    All,
    /// Only these.
    Named(Vec<RepositoryName>),
}

impl Principal {
    /// The account; empty for an anonymous client.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Anyone => "",
            Self::Account(account) => account,
            Self::Token(token) => token.subject(),
        }
    }

    /// Whether it is a client without an account, in a registry that knows accounts.
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self, Self::Token(token) if token.subject().is_empty())
    }

    /// Whether it may do `action` with `repository`.
    pub(crate) fn may(&self, repository: &RepositoryName, action: &str) -> bool {
        match self {
            Self::Anyone | Self::Account(_) => true,
            Self::Token(token) => token.grants("repository", repository.as_str(), action),
        }
    }

    pub(crate) fn pullable_repositories(&self) -> PullableRepositories {
        let Self::Token(token) = self else {
            return PullableRepositories::All;
        };
        let named = token.access().iter();
        let named = named.filter_map(|access| access.name.parse().ok());
        PullableRepositories::Named(named.filter(|name| self.may(name, "pull")).collect())
    }
}
