//! Who may see which repositories in the catalog.
//!
//! A token says what its bearer may do with the repositories that it names, and a list names none.
//! Where the token server is our own, its rules can be asked instead: the binary connects this seam
//! to them.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// Somebody who asks for the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller<'a> {
    /// The account; empty for anonymous.
    pub account: &'a str,
    /// Where the request comes from, as far as anybody can tell.
    pub address: Option<IpAddr>,
}

/// What somebody may see.
pub enum CatalogFilter {
    /// No repository at all.
    Nothing,
    /// Those of which this says so.
    Matching(Box<dyn Fn(&str) -> bool + Send + Sync>),
    /// Every one.
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

/// What [`Visibility::sight`] returns.
pub type CatalogFilterFuture<'a> = Pin<
    Box<
        dyn Future<Output = Result<CatalogFilter, Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'a,
    >,
>;

/// Knows what somebody may see.
pub trait Visibility: Send + Sync {
    /// What `caller` may see now: the repositories that it could get a token to pull from.
    ///
    /// Fails where that cannot be told, which is not the same as seeing nothing.
    fn filter<'a>(&'a self, caller: Caller<'a>) -> CatalogFilterFuture<'a>;
}
