//! Events, counted.

use std::sync::Arc;

use common::{Clock, Counter, FINE_DURATION_BOUNDS, Histogram};
use event::{Event, EventKind, Observer};

use crate::{Exposition, LabelCounters, MetricUnit, TopNames};

/// An observer that counts events.
///
/// The names of repositories are labels only for those that are pulled most, and only of pulls that
/// succeed, so that a client cannot make a label. Accounts are none. The prefixes of quotas are the
/// operator's, and there may be thousands: those that refuse most are labels.
pub struct EventMetrics {
    clock: Arc<dyn Clock>,
    /// One for each kind, at its place.
    kinds: [Counter; EventKind::NAMES.len()],
    issued: LabelCounters,
    refused: LabelCounters,
    token_duration: Histogram,
    logins_accepted: LabelCounters,
    logins_refused: Counter,
    access_refused: LabelCounters,
    pulls: TopNames,
    quota_refusals: TopNames,
    pulled_bytes: Counter,
    pushed_bytes: Counter,
    mounted_bytes: Counter,
    collected: CollectedContent,
}

/// How many names become labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameLimits {
    /// Names of repositories.
    pub repositories: usize,
    /// Prefixes that have a quota.
    pub quota_prefixes: usize,
}

/// What collection has removed.
#[derive(Default)]
struct CollectedContent {
    manifests: Counter,
    blobs: Counter,
    uploads: Counter,
    bytes: Counter,
}

impl EventMetrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(limits: NameLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            kinds: std::array::from_fn(|_| Counter::default()),
            issued: LabelCounters::default(),
            refused: LabelCounters::default(),
            token_duration: Histogram::new(FINE_DURATION_BOUNDS),
            logins_accepted: LabelCounters::default(),
            logins_refused: Counter::default(),
            access_refused: LabelCounters::default(),
            pulls: TopNames::new(limits.repositories),
            quota_refusals: TopNames::new(limits.quota_prefixes),
            pulled_bytes: Counter::default(),
            pushed_bytes: Counter::default(),
            mounted_bytes: Counter::default(),
            collected: CollectedContent::default(),
        }
    }

    /// Writes what was counted.
    pub fn write(&self, out: &mut Exposition) {
        let mut family = out.counter(
            "wharfinger_events",
            "Events by their kind, as the audit table names them.",
        );
        for (name, counter) in EventKind::NAMES.into_iter().zip(&self.kinds) {
            if counter.value() > 0 {
                family.sample(&[("event", name)], counter.value());
            }
        }
        let mut family = out.counter(
            "wharfinger_tokens",
            "Decisions of the token server, by the backend that knows the account.",
        );
        self.issued
            .write(&mut family, "backend", &[("outcome", "issued")]);
        self.refused
            .write(&mut family, "backend", &[("outcome", "refused")]);
        out.histogram(
            "wharfinger_token_duration_seconds",
            "How long the token server took to decide.",
        )
        .distribution(
            &[],
            &self.token_duration.snapshot(),
            MetricUnit::Nanoseconds,
            &[],
        );
        let mut family = out.counter(
            "wharfinger_logins",
            "Logins with a name and a password, by the backend that knows the account.",
        );
        self.logins_accepted
            .write(&mut family, "backend", &[("outcome", "accepted")]);
        family.sample(
            &[("backend", "none"), ("outcome", "refused")],
            self.logins_refused.value(),
        );
        let mut family = out.counter(
            "wharfinger_access_refused",
            "Requests to the registry that lacked access, by the status of the response.",
        );
        self.access_refused.write(&mut family, "code", &[]);
        let mut family = out.counter(
            "wharfinger_repository_pulls",
            "Manifests pulled, by repository: those that are pulled most, and all others as _other.",
        );
        self.pulls
            .write(&mut family, "repository", self.clock.now());
        let mut family = out.counter(
            "wharfinger_quota_refusals",
            "Changes that were refused because they would exceed a quota, by the prefix that has it.",
        );
        self.quota_refusals
            .write(&mut family, "prefix", self.clock.now());
        let mut family = out.counter(
            "wharfinger_blob_bytes",
            "Bytes of blobs that clients asked for, uploaded, or had mounted instead of uploading.",
        );
        for (action, counter) in [
            ("pull", &self.pulled_bytes),
            ("push", &self.pushed_bytes),
            ("mount", &self.mounted_bytes),
        ] {
            family.sample(&[("action", action)], counter.value());
        }
        self.write_collected(out);
    }

    fn write_collected(&self, out: &mut Exposition) {
        let CollectedContent {
            manifests,
            blobs,
            uploads,
            bytes,
        } = &self.collected;
        let mut family = out.counter(
            "wharfinger_collected_objects",
            "Unused content that garbage collection removed.",
        );
        for (kind, counter) in [
            ("manifest", manifests),
            ("blob", blobs),
            ("upload", uploads),
        ] {
            family.sample(&[("kind", kind)], counter.value());
        }
        out.counter(
            "wharfinger_collected_bytes",
            "Bytes of blobs that garbage collection removed.",
        )
        .sample(&[], bytes.value());
    }
}

impl Observer for EventMetrics {
    fn observe(&self, event: &Event<'_>) {
        self.kinds[event.kind.place()].increment();
        match &event.kind {
            EventKind::TokenIssued(decision) => {
                self.issued.add(backend(decision.backend), 1);
                self.token_duration.observe_duration(decision.duration);
            }
            EventKind::TokenRefused { decision, .. } => {
                self.refused.add(backend(decision.backend), 1);
                self.token_duration.observe_duration(decision.duration);
            }
            EventKind::LoginAccepted { backend: name } => {
                self.logins_accepted.add(backend(name), 1);
            }
            EventKind::LoginRefused { .. } => self.logins_refused.increment(),
            EventKind::AccessRefused(refusal) => {
                self.access_refused.add(&refusal.status.to_string(), 1);
            }
            EventKind::ManifestPulled(manifest) => {
                self.pulls.increment(manifest.repository.as_str());
            }
            EventKind::QuotaExceeded { quota, .. } => self.quota_refusals.increment(quota.prefix),
            EventKind::BlobPulled { length, .. } => self.pulled_bytes.add(*length),
            EventKind::BlobPushed(blob) => self.pushed_bytes.add(blob.size),
            EventKind::BlobMounted { blob, .. } => self.mounted_bytes.add(blob.size),
            EventKind::Collection {
                manifests,
                blobs,
                bytes,
                uploads,
            } => {
                self.collected.manifests.add(*manifests);
                self.collected.blobs.add(*blobs);
                self.collected.bytes.add(*bytes);
                self.collected.uploads.add(*uploads);
            }
            _ => {}
        }
    }
}

/// The label of a backend. An anonymous client has none.
fn backend(name: &str) -> &str {
    if name.is_empty() { "none" } else { name }
}

#[cfg(test)]
mod tests {
    use common::SystemClock;
    use event::{Actor, ManifestEvent, QuotaEvent, TokenDecision};

    use super::*;
    use crate::TextFormat;

    #[test]
    fn events_become_counters() {
        let metrics = EventMetrics::new(
            NameLimits {
                repositories: 10,
                quota_prefixes: 1,
            },
            Arc::new(SystemClock),
        );
        let observe = |kind: EventKind<'_>| {
            metrics.observe(&Event {
                time: SystemClock.now(),
                actor: Actor::default(),
                kind,
            });
        };
        let repository: oci::RepositoryName = "team/app".parse().unwrap();
        let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let manifest = ManifestEvent {
            repository: &repository,
            digest: &digest,
            reference: "latest",
            media_type: "m",
            size: 5,
            content: b"hello",
        };
        observe(EventKind::ManifestPulled(manifest));
        observe(EventKind::ManifestPulled(manifest));
        let decision = TokenDecision {
            backend: "htpasswd",
            ..TokenDecision::default()
        };
        observe(EventKind::TokenIssued(decision));
        observe(EventKind::TokenIssued(TokenDecision::default()));
        observe(EventKind::LoginRefused { reason: "wrong" });
        for prefix in ["team", "other"] {
            observe(EventKind::QuotaExceeded {
                quota: QuotaEvent {
                    repository: &repository,
                    prefix,
                    resource: "tags",
                    used: 3,
                    limit: 3,
                },
                requested: 1,
            });
        }
        observe(EventKind::Collection {
            manifests: 1,
            blobs: 2,
            bytes: 300,
            uploads: 0,
        });
        let mut exposition = Exposition::new(TextFormat::Prometheus);
        metrics.write(&mut exposition);
        let text = exposition.finish();
        for line in [
            "wharfinger_events_total{event=\"manifest_pulled\"} 2\n",
            "wharfinger_tokens_total{backend=\"htpasswd\",outcome=\"issued\"} 1\n",
            "wharfinger_tokens_total{backend=\"none\",outcome=\"issued\"} 1\n",
            "wharfinger_logins_total{backend=\"none\",outcome=\"refused\"} 1\n",
            "wharfinger_repository_pulls_total{repository=\"team/app\"} 2\n",
            "wharfinger_repository_pulls_total{repository=\"_other\"} 0\n",
            "wharfinger_quota_refusals_total{prefix=\"team\"} 1\n",
            "wharfinger_quota_refusals_total{prefix=\"_other\"} 1\n",
            "wharfinger_collected_objects_total{kind=\"blob\"} 2\n",
            "wharfinger_collected_bytes_total 300\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
