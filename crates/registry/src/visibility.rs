//! The repositories that a client may see in the catalog.
//!
//! A token says what its bearer may do with the repositories that it names, and the catalog names
//! none. If the token server is our own, its rules can be asked instead: the binary connects this
//! seam to them.

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

/// The repositories that a client may see.
pub enum CatalogFilter {
    /// No repository.
    Nothing,
    /// Those for which the function returns true.
    Matching(Box<dyn Fn(&str) -> bool + Send + Sync>),
    /// Every repository.
    Everything,
}

impl CatalogFilter {
    pub(crate) fn shows(&self, repository: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Matching(shows) => shows(repository),
            Self::Everything => true,
        }
    }
}

/// What [`Visibility::filter`] returns.
pub type CatalogFilterFuture<'a> =
    BoxFuture<'a, Result<CatalogFilter, Box<dyn std::error::Error + Send + Sync>>>;

/// Knows which repositories a client may see.
pub trait Visibility: Send + Sync {
    /// What `caller` may see now: the repositories that it could get a token to pull from.
    ///
    /// Fails if that cannot be decided, which is not the same as seeing nothing.
    fn filter<'a>(&'a self, caller: Caller<'a>) -> CatalogFilterFuture<'a>;
}
