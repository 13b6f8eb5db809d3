//! Quotas, as a running server has them: counted, listed for the API, and measured.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use api::{QuotaAmountView, QuotaReader, QuotaReaderError, QuotaView};
use common::BoxFuture;
use storage::{
    Error, PrefixUsage, Quota, QuotaCounting, QuotaPrefix, QuotaUsage, Quotas, Storage, UsageQuery,
};
use tokio::sync::watch;

/// How long until prefixes that could not be counted are counted again.
const PAUSE: Duration = Duration::from_secs(30);

/// Counting that took longer than this is a line of the log.
const LONG: Duration = Duration::from_secs(1);

/// The quotas of a configuration, and the storage that knows what is used.
#[derive(Clone)]
pub(super) struct ServedQuotas {
    pub(super) storage: Storage,
    pub(super) quotas: Quotas,
}

/// A quota with what is used of it.
pub(super) struct UsedQuota<'a> {
    pub(super) quota: &'a Quota,
    pub(super) usage: QuotaUsage,
}

impl ServedQuotas {
    /// Counts what the prefixes use, those that are not counted yet; and stops counting others.
    ///
    /// # Errors
    /// If the database fails. A change counts the prefixes of its repository itself then.
    #[expect(clippy::disallowed_methods, reason = "how long it took, for the log")]
    pub(super) async fn track(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let prefixes = self.quotas.prefixes();
        let tracked = self.storage.quotas().track(prefixes, QuotaCounting::New);
        let tracked = tracked.await?;
        let took = begun.elapsed();
        if took >= LONG {
            tracing::info!(
                prefixes = tracked.counted,
                seconds = took.as_secs(),
                "what the prefixes of registry.quotas use was counted; pushes waited meanwhile"
            );
        }
        Ok(())
    }

    /// The `most` quotas of which the largest share is used, those first. Prefixes that are not counted
    /// yet are left out.
    pub(super) async fn nearest_to_limit(&self, most: usize) -> Result<Vec<UsedQuota<'_>>, Error> {
        if self.quotas.is_empty() {
            return Ok(Vec::new());
        }
        let usage = self.storage.quotas().usage(UsageQuery::All).await?;
        let usage = by_prefix(usage);
        let used = self.quotas.iter().filter_map(|quota| {
            let usage = *usage.get(&quota.prefix)?;
            Some(UsedQuota { quota, usage })
        });
        let mut used: Vec<_> = used.collect();
        // Of prefixes that are equally full, the same are shown each time.
        used.sort_by(|a, b| {
            let shares = b.share().total_cmp(&a.share());
            shares.then_with(|| a.quota.prefix.cmp(&b.quota.prefix))
        });
        used.truncate(most);
        Ok(used)
    }
}

impl UsedQuota<'_> {
    /// The largest share of a limit that is used.
    fn share(&self) -> f64 {
        let Self { quota, usage } = self;
        let shares = [(usage.bytes, quota.max_bytes), (usage.tags, quota.max_tags)];
        let shares = shares
            .into_iter()
            .filter_map(|(used, limit)| Some(used as f64 / limit?.max(1) as f64));
        shares.fold(0.0, f64::max)
    }
}

impl QuotaReader for ServedQuotas {
    fn quotas<'a>(
        &'a self,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<QuotaView>, QuotaReaderError>> {
        Box::pin(async move {
            let mut listed: Vec<(String, &Quota)> = self
                .quotas
                .iter()
                .map(|quota| (quota.prefix.to_string(), quota))
                .filter(|(text, _)| text.as_str() > after)
                .collect();
            listed.sort_by(|(a, _), (b, _)| a.cmp(b));
            listed.truncate(limit);
            let quotas = listed.into_iter().map(|(_, quota)| quota);
            let quotas: Vec<&Quota> = quotas.collect();
            let used = self.counted(&quotas).await.map_err(reader_error)?;
            Ok(quotas
                .into_iter()
                .map(|quota| view(quota, used.get(&quota.prefix).copied().unwrap_or_default()))
                .collect())
        })
    }
}

impl ServedQuotas {
    /// What these quotas' prefixes use. Of those that are not counted yet, all rows are read.
    async fn counted(&self, quotas: &[&Quota]) -> Result<HashMap<QuotaPrefix, QuotaUsage>, Error> {
        let prefixes = quotas.iter().map(|quota| quota.prefix.clone());
        let prefixes: Vec<QuotaPrefix> = prefixes.collect();
        let store = self.storage.quotas();
        let mut usage = by_prefix(store.usage(UsageQuery::Of(prefixes.clone())).await?);
        for prefix in prefixes {
            if let Entry::Vacant(missing) = usage.entry(prefix) {
                let measured = store.measure(missing.key()).await?;
                missing.insert(measured);
            }
        }
        Ok(usage)
    }
}

/// A quota and what is used of it, as the API and the commands show it.
pub(crate) fn view(quota: &Quota, usage: QuotaUsage) -> QuotaView {
    QuotaView {
        prefix: quota.prefix.to_string(),
        bytes: QuotaAmountView {
            used: usage.bytes,
            limit: quota.max_bytes,
        },
        tags: QuotaAmountView {
            used: usage.tags,
            limit: quota.max_tags,
        },
        warn_at: quota.warn_at,
    }
}

/// Counts what the prefixes of the current quotas use, until the database can; and again when the quotas
/// change.
pub(super) async fn track_until_done(storage: Storage, mut current: watch::Receiver<Quotas>) {
    loop {
        let served = ServedQuotas {
            storage: storage.clone(),
            quotas: current.borrow_and_update().clone(),
        };
        let tracked = served.track().await;
        if let Err(error) = &tracked {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                "what the prefixes of registry.quotas use cannot be counted now: the next push to one does it"
            );
        }
        // An error says that the server ends.
        let has_changed = match tracked {
            Ok(()) => current.changed().await,
            Err(_) => tokio::time::timeout(PAUSE, current.changed())
                .await
                .unwrap_or(Ok(())),
        };
        if has_changed.is_err() {
            return;
        }
    }
}

fn by_prefix(usage: Vec<PrefixUsage>) -> HashMap<QuotaPrefix, QuotaUsage> {
    let usage = usage.into_iter();
    usage.map(|used| (used.prefix, used.usage)).collect()
}

fn reader_error(error: Error) -> QuotaReaderError {
    match error {
        Error::Unavailable { .. } | Error::Busy | Error::Conflict | Error::ReadOnly => {
            QuotaReaderError::Unavailable(Box::new(error))
        }
        _ => QuotaReaderError::Failed(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use storage::{ManifestChange, NewManifest};

    use super::super::test_storage::storage;
    use super::*;

    /// Repositories `a` to `d` with one to four tags, each of which may have five.
    async fn served(folder: &tempfile::TempDir) -> ServedQuotas {
        let storage = storage(folder).await;
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
            oci::media_type::OCI_INDEX
        );
        let names = ["a", "b", "c", "d"];
        for (number, name) in names.into_iter().enumerate() {
            let manifest = NewManifest::parse(None, index.clone().into(), None).unwrap();
            let tags = (0..=number).map(|tag| format!("t{tag}").parse().unwrap());
            let change = ManifestChange::Push {
                manifest,
                tags: tags.collect(),
            };
            let repository = name.parse().unwrap();
            storage.apply(&repository, change.into()).await.unwrap();
        }
        let quotas = names.map(|name| Quota {
            prefix: name.parse().unwrap(),
            max_bytes: None,
            max_tags: Some(5),
            warn_at: Some(90),
        });
        ServedQuotas {
            storage,
            quotas: Quotas::new(quotas.into()).unwrap(),
        }
    }

    #[tokio::test]
    async fn those_nearest_to_a_limit_are_shown_first() {
        let folder = tempfile::tempdir().unwrap();
        let served = served(&folder).await;
        // Nothing is shown that was not counted.
        assert!(served.nearest_to_limit(10).await.unwrap().is_empty());
        served.track().await.unwrap();
        for (most, expected) in [
            (0, vec![]),
            (2, vec![("d", 4), ("c", 3)]),
            (10, vec![("d", 4), ("c", 3), ("b", 2), ("a", 1)]),
        ] {
            let used = served.nearest_to_limit(most).await.unwrap();
            let names: Vec<_> = used
                .iter()
                .map(|used| (used.quota.prefix.to_string(), used.usage.tags))
                .collect();
            let expected = expected.into_iter();
            let expected: Vec<_> = expected
                .map(|(name, tags)| (name.to_owned(), tags))
                .collect();
            assert_eq!(names, expected, "{most}");
        }
    }

    #[tokio::test]
    async fn what_is_listed_is_counted_first() {
        let folder = tempfile::tempdir().unwrap();
        let served = served(&folder).await;
        let listed = served.quotas("a", 2).await.unwrap();
        let tags: Vec<_> = listed
            .iter()
            .map(|quota| (quota.prefix.as_str(), quota.tags.used, quota.tags.limit))
            .collect();
        assert_eq!(tags, [("b", 2, Some(5)), ("c", 3, Some(5))]);
    }
}
