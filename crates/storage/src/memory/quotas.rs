//! What is used below prefixes: computed from the rows each time.

use std::collections::BTreeSet;

use oci::{Digest, RepositoryName};

use super::metadata::MemoryMetadata;
use super::tables::{RepositoryRow, Tables};
use crate::quota::UsageChange;
use crate::{
    Error, PrefixUsage, QuotaCounting, QuotaPrefix, QuotaStore, QuotaUsage, QuotaWarning,
    RepositoryQuotas, StorageFuture, TrackedPrefixes, UsageQuery, WrongCount,
};

impl QuotaStore for MemoryMetadata {
    fn track(
        &self,
        prefixes: Vec<QuotaPrefix>,
        counting: QuotaCounting,
    ) -> StorageFuture<'_, TrackedPrefixes> {
        self.write(move |tables, _| {
            let wanted: BTreeSet<_> = prefixes.into_iter().collect();
            let known = &tables.quota_prefixes;
            let tracked = TrackedPrefixes {
                counted: match counting {
                    QuotaCounting::New => wanted.difference(known).count() as u64,
                    QuotaCounting::Again => wanted.len() as u64,
                },
                removed: known.difference(&wanted).count() as u64,
            };
            tables.quota_prefixes = wanted;
            Ok(tracked)
        })
    }

    fn usage(&self, query: UsageQuery) -> StorageFuture<'_, Vec<PrefixUsage>> {
        self.read(move |tables| {
            let tracked = tables.quota_prefixes.iter();
            let asked = tracked.filter(|prefix| match &query {
                UsageQuery::All => true,
                UsageQuery::Of(prefixes) => prefixes.contains(prefix),
            });
            let usages = asked.map(|prefix| PrefixUsage {
                prefix: prefix.clone(),
                usage: tables.usage(prefix),
            });
            Ok(usages.collect())
        })
    }

    fn measure<'a>(&'a self, prefix: &'a QuotaPrefix) -> StorageFuture<'a, QuotaUsage> {
        self.read(move |tables| Ok(tables.usage(prefix)))
    }

    fn wrong_counts(&self) -> StorageFuture<'_, Vec<WrongCount>> {
        self.read(|_| Ok(Vec::new()))
    }

    fn prefixes_with<'a>(
        &'a self,
        digest: &'a Digest,
        mut prefixes: Vec<QuotaPrefix>,
    ) -> StorageFuture<'a, Vec<QuotaPrefix>> {
        self.read(move |tables| {
            prefixes.retain(|prefix| {
                let mut names = tables.below(prefix).map(|(name, _)| name);
                names.any(|name| tables.blob(name, digest).is_ok())
            });
            Ok(prefixes)
        })
    }
}

impl Tables {
    fn below(
        &self,
        prefix: &QuotaPrefix,
    ) -> impl Iterator<Item = (&RepositoryName, &RepositoryRow)> {
        let rows = self.repositories.iter();
        rows.filter(move |(name, _)| prefix.covers(name))
    }

    fn usage(&self, prefix: &QuotaPrefix) -> QuotaUsage {
        let mut used = QuotaUsage::default();
        let mut blobs = BTreeSet::new();
        for (_, row) in self.below(prefix) {
            let manifests = row.manifests.values();
            used.bytes += manifests
                .map(|row| row.manifest.bytes().len() as u64)
                .sum::<u64>();
            used.tags += row.tags.len() as u64;
            blobs.extend(&row.blobs);
        }
        let sizes = blobs
            .iter()
            .filter_map(|generation| self.blobs.get(generation));
        used.bytes += sizes.map(|row| row.blob.size).sum::<u64>();
        used
    }

    /// What is used below the prefixes of quotas, before a change. They are counted from then on.
    pub(super) fn usage_below(&mut self, quotas: &RepositoryQuotas) -> Vec<PrefixUsage> {
        let prefixes = quotas.prefixes();
        self.quota_prefixes.extend(prefixes.iter().cloned());
        let usages = prefixes.into_iter().map(|prefix| PrefixUsage {
            usage: self.usage(&prefix),
            prefix,
        });
        usages.collect()
    }

    /// After a change: whether the quotas have room for it, if it adds something.
    pub(super) fn check_quotas(
        &self,
        quotas: &RepositoryQuotas,
        before: &[PrefixUsage],
    ) -> Result<Vec<QuotaWarning>, Error> {
        let changes = before.iter().map(|before| {
            let now = self.usage(&before.prefix);
            UsageChange {
                prefix: before.prefix.clone(),
                used: before.usage,
                added: QuotaUsage {
                    bytes: now.bytes.saturating_sub(before.usage.bytes),
                    tags: now.tags.saturating_sub(before.usage.tags),
                },
            }
        });
        Ok(quotas.check(&changes.collect::<Vec<_>>())?)
    }
}
