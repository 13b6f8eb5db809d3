//! Failures that several servers count together.

use std::time::Duration;

use common::BoxFuture;

/// A bucket that several servers share: a rate, and whose failures it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedFailureCount {
    /// A keyed hash of the source, the same on all servers.
    pub key: [u8; 32],
    /// The period of the rate.
    pub period: Duration,
    /// How much of the period a failure takes.
    pub interval: Duration,
}

/// Counts failures for all servers. If it cannot be reached, it counts nothing, and takes no time:
/// each server counts by itself as well.
pub trait SharedFailures: Send + Sync {
    /// How long until one more failure fits into all of these; zero if it does now, or if that is not
    /// known.
    fn wait<'a>(&'a self, counts: &'a [SharedFailureCount]) -> BoxFuture<'a, Duration>;

    /// Counts a failure in each.
    fn record<'a>(&'a self, counts: &'a [SharedFailureCount]) -> BoxFuture<'a, ()>;
}
