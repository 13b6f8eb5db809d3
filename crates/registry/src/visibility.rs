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
pub struct Viewer<'a> {
    /// The account; empty for anonymous.
    pub account: &'a str,
    /// Where the request comes from, as far as anybody can tell.
    pub address: Option<IpAddr>,
}

/// What somebody may see.
pub enum Sight {
    /// No repository at all.
    Nothing,
    /// Those of which this says so.
    Some(Box<dyn Fn(&str) -> bool + Send + Sync>),
    /// Every one.
    Everything,
}

impl Sight {
    pub(crate) fn reaches(&self, repository: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(reaches) => reaches(repository),
            Self::Everything => true,
        }
    }
}

/// What [`Visibility::sight`] returns.
pub type SightFuture<'a> = Pin<
    Box<dyn Future<Output = Result<Sight, Box<dyn std::error::Error + Send + Sync>>> + Send + 'a>,
>;

/// Knows what somebody may see.
pub trait Visibility: Send + Sync {
    /// What `viewer` may see now: the repositories that it could get a token to pull from.
    ///
    /// Fails where that cannot be told, which is not the same as seeing nothing.
    fn sight<'a>(&'a self, viewer: Viewer<'a>) -> SightFuture<'a>;
}
