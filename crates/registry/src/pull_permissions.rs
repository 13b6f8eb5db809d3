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
    /// The personal token or robot's token that proved it, by its id; empty for another login.
    pub personal_token: &'a str,
    /// What it wants to do: `pull`, or another action that it was refused.
    pub action: &'static str,
    /// The client's address, if it is known.
    pub address: Option<IpAddr>,
}

/// The repositories with which a client may do what it wants.
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

/// Knows which repositories a client may pull from, or do something else with.
pub trait PullPermissions: Send + Sync {
    /// The repositories for whose action `caller` could get a token now.
    ///
    /// Fails if that cannot be decided, which is not the same as no repository.
    fn filter<'a>(&'a self, caller: Caller<'a>) -> VisibleRepositoriesFuture<'a>;
}
