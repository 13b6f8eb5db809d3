//! What is used of quotas, for a scrape.

use std::time::Duration;

use metrics::Exposition;
use tokio::time::timeout;

use crate::serve::quotas::{ServedQuotas, UsedQuota};

/// How long a scrape waits for the database. Prometheus gives up after 10 seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// The quotas of a registry, and how many of them are shown.
pub(in crate::serve) struct MeasuredQuotas {
    pub(in crate::serve) quotas: ServedQuotas,
    pub(in crate::serve) most: usize,
}

impl MeasuredQuotas {
    /// Those that are shown: of which the largest share is used. None if the database does not answer,
    /// which other metrics tell.
    pub(super) async fn used(&self) -> Vec<UsedQuota<'_>> {
        let used = self.quotas.nearest_to_limit(self.most);
        match timeout(PATIENCE, used).await {
            Ok(Ok(used)) => used,
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a scrape lacks what is used of quotas");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!("a scrape lacks what is used of quotas: the database is slow");
                Vec::new()
            }
        }
    }
}

/// A family of gauges, and what it has of a quota.
type Gauge = (
    &'static str,
    &'static str,
    fn(&UsedQuota<'_>) -> Option<u64>,
);

const GAUGES: [Gauge; 4] = [
    (
        "wharfinger_quota_used_bytes",
        "Bytes of content below a prefix that has a quota.",
        |used| Some(used.usage.bytes),
    ),
    (
        "wharfinger_quota_limit_bytes",
        "How many bytes of content there may be below a prefix.",
        |used| used.quota.max_bytes,
    ),
    (
        "wharfinger_quota_used_tags",
        "Tags below a prefix that has a quota.",
        |used| Some(used.usage.tags),
    ),
    (
        "wharfinger_quota_limit_tags",
        "How many tags there may be below a prefix.",
        |used| used.quota.max_tags,
    ),
];

/// Writes the gauges of each prefix.
pub(super) fn write(out: &mut Exposition, used: &[UsedQuota<'_>]) {
    if used.is_empty() {
        return;
    }
    for (name, help, value) in GAUGES {
        let mut family = out.gauge(name, help);
        for quota in used {
            if let Some(value) = value(quota) {
                let prefix = quota.quota.prefix.to_string();
                family.sample(&[("prefix", prefix.as_str())], value);
            }
        }
    }
}
