//! What is used below the prefixes of quotas.

use std::fmt;

use oci::Digest;

use crate::{Blob, QuotaPrefix, QuotaUsage, QuotaWarning, StorageFuture};

/// What is used below prefixes. It is counted in the transactions that change it.
///
/// A change that comes with [`RepositoryQuotas`](crate::RepositoryQuotas) is refused with
/// [`Error::QuotaExceeded`](crate::Error::QuotaExceeded) if it adds to what a prefix uses, and more than
/// its limit would be used then. If a prefix of them is not counted yet, the change counts it first.
pub trait QuotaStore: fmt::Debug + Send + Sync {
    /// From now on, counts what these prefixes use, and no others. What is there already is counted
    /// before this returns, and changes wait until it is.
    fn track(
        &self,
        prefixes: Vec<QuotaPrefix>,
        counting: QuotaCounting,
    ) -> StorageFuture<'_, TrackedPrefixes>;

    /// What is counted for some of `prefixes`, or for all that are counted, in the order of the
    /// prefixes. Those that are not counted are left out.
    fn usage(&self, prefixes: UsageQuery) -> StorageFuture<'_, Vec<PrefixUsage>>;

    /// What a prefix uses, computed from all rows. It needs no quota, and may take long.
    fn measure<'a>(&'a self, prefix: &'a QuotaPrefix) -> StorageFuture<'a, QuotaUsage>;

    /// The counted prefixes whose counts are wrong, in their order.
    /// [`QuotaCounting::Again`] corrects them.
    fn wrong_counts(&self) -> StorageFuture<'_, Vec<WrongCount>>;

    /// Which of `prefixes` have this blob: a repository below them has it.
    fn prefixes_with<'a>(
        &'a self,
        digest: &'a Digest,
        prefixes: Vec<QuotaPrefix>,
    ) -> StorageFuture<'a, Vec<QuotaPrefix>>;
}

/// Which counts [`QuotaStore::track`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaCounting {
    /// Those of prefixes that are not counted yet.
    New,
    /// All of them, from all rows.
    Again,
}

/// The outcome of [`QuotaStore::track`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackedPrefixes {
    /// How many prefixes were counted from all rows.
    pub counted: u64,
    /// How many are not counted any more.
    pub removed: u64,
}

/// Which prefixes are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageQuery {
    /// All that are counted.
    All,
    /// Those of these that are counted.
    Of(Vec<QuotaPrefix>),
}

/// A prefix, and what is used below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixUsage {
    /// The prefix.
    pub prefix: QuotaPrefix,
    /// What is used.
    pub usage: QuotaUsage,
}

/// A prefix whose counts are not what its rows say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongCount {
    /// The prefix.
    pub prefix: QuotaPrefix,
    /// What was counted.
    pub counted: QuotaUsage,
    /// What the rows say.
    pub measured: QuotaUsage,
}

/// A blob that a repository was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedBlob {
    /// The blob.
    pub blob: Blob,
    /// The quotas that it has brought near their limits.
    pub warnings: Vec<QuotaWarning>,
}
