//! The repositories that a client could get a token to pull from.
//!
//! A token says what its bearer may do with the repositories that it names. The catalog, the source
//! of a mount and the decision between 401 and 403 need more: what the rules would grant. If the
//! token server is in the same process, the program connects [`PullPermissions`] to its rules.

use std::net::IpAddr;

use common::BoxFuture;

/// The client that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller<'a> {
    /// The account; empty for an anonymous client.
    pub account: &'a str,
    /// The client's address, if it is known.
    pub address: Option<IpAddr>,
}

/// The repositories that a client may pull from.
pub enum VisibleRepositories {
    /// No repository.
    Nothing,
    /// Those for which the function returns true.
    Matching(Box<dyn Fn(&str) -> bool + Send + Sync>),
    /// Every repository.
    Everything,
}

impl VisibleRepositories {
    pub(crate) fn allows(&self, repository: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Matching(allows) => allows(repository),
            Self::Everything => true,
        }
    }
}

/// What [`PullPermissions::filter`] returns.
pub type VisibleRepositoriesFuture<'a> =
    BoxFuture<'a, Result<VisibleRepositories, Box<dyn std::error::Error + Send + Sync>>>;

/// Knows which repositories a client may pull from.
pub trait PullPermissions: Send + Sync {
    /// The repositories that `caller` could get a token to pull from now.
    ///
    /// Fails if that cannot be decided, which is not the same as no repository.
    fn filter<'a>(&'a self, caller: Caller<'a>) -> VisibleRepositoriesFuture<'a>;
}
