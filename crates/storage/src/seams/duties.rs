//! Duties: work that one server does for all, and when it was last done.

use std::fmt;
use std::time::Duration;

use crate::StorageFuture;

/// Duties of the servers that share a store. They are known after a restart, so that it neither delays
/// nor repeats work.
///
/// If several servers can share the store, a server takes a duty with a lease, renews the lease while it works, and finishes. If it stops,
/// another server takes the duty when the lease has ended. So a step of the work may be done twice,
/// and two servers may do it at once for a moment. A store that one server has for itself needs no
/// leases.
pub trait DutyStore: fmt::Debug + Send + Sync {
    /// Takes a duty, unless another server has it or it was finished less than `duty.every` ago.
    fn take<'a>(&'a self, duty: &'a Duty) -> StorageFuture<'a, Option<DutyLease>>;

    /// Renews a lease.
    ///
    /// Fails with [`Error::Conflict`](crate::Error::Conflict) if another server has taken the duty.
    fn renew<'a>(&'a self, lease: &'a DutyLease) -> StorageFuture<'a, ()>;

    /// Ends a lease: the work is done.
    fn finish(&self, lease: DutyLease) -> StorageFuture<'_, ()>;

    /// Ends a lease: the work is not done, and another server may continue it.
    fn give_up(&self, lease: DutyLease) -> StorageFuture<'_, ()>;
}

/// A duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Its name.
    pub name: &'static str,
    /// How often it is done.
    pub every: Duration,
    /// How long a server has it unless it renews the lease.
    pub lease: Duration,
}

/// The lease of a duty that a server has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DutyLease {
    /// The duty.
    pub name: &'static str,
    /// How long each renewal lasts.
    pub lease: Duration,
    /// Counts the servers that have taken the duty. One with an old count has lost it.
    pub fence: i64,
}
