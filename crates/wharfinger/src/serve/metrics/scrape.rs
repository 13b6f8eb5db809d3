//! What a scrape reads, and the names under which it is written.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use acme::ServerCertificates;
use audit::AuditRecorder;
use common::{Clock, HistogramSnapshot};
use database::Database;
use identity::{Login, WorkerPool};
use metrics::{Exposition, MetricUnit, TextFormat, process};
use registry::Registry;
use storage::{CacheStatistics, MetadataStatistics, Storage};
use traces::SpanExporter;

use super::quotas::{self, MeasuredQuotas};
use super::{ServerMetrics, notifications};
use crate::serve::notifications::Notifications;

/// The parts of the server that count their own work. Those that are not configured are absent.
pub(in crate::serve) struct ScrapeSources {
    pub(in crate::serve) server: Arc<ServerMetrics>,
    pub(in crate::serve) database: Option<Database>,
    /// The registry's storage, with the name that Distribution gives to its driver.
    pub(in crate::serve) storage: Option<(&'static str, Storage)>,
    pub(in crate::serve) registry: Option<Arc<Registry>>,
    /// The quotas of the registry, if it has any.
    pub(in crate::serve) quotas: Option<MeasuredQuotas>,
    pub(in crate::serve) login: Option<Arc<Login>>,
    pub(in crate::serve) workers: Arc<WorkerPool>,
    pub(in crate::serve) audit: Option<Arc<AuditRecorder>>,
    /// What is sent to other servers, if there are endpoints.
    pub(in crate::serve) notifications: Option<Notifications>,
    /// What sends spans, if there are traces.
    pub(in crate::serve) traces: Option<Arc<SpanExporter>>,
    /// When certificates and keys of files end, each with its use and its id.
    pub(in crate::serve) expiries: Vec<CredentialExpiry>,
    /// The certificates of an ACME server.
    pub(in crate::serve) acme: Option<Arc<ServerCertificates>>,
    pub(in crate::serve) clock: Arc<dyn Clock>,
}

/// When a certificate or a key ends.
pub(in crate::serve) struct CredentialExpiry {
    /// `tls`, `token`: what it is for.
    pub(in crate::serve) purpose: &'static str,
    /// The id of the key, or the subject of the certificate.
    pub(in crate::serve) name: String,
    pub(in crate::serve) not_after: SystemTime,
}

impl ScrapeSources {
    /// All metrics, in this format.
    pub(super) async fn write(&self, format: TextFormat) -> String {
        let used = match &self.quotas {
            Some(quotas) => quotas.used().await,
            None => Vec::new(),
        };
        let mut out = Exposition::new(format);
        let ServerMetrics {
            registry,
            other,
            events,
            connections,
        } = &*self.server;
        registry.write(&mut out);
        self.write_storage(&mut out);
        other.write(&mut out);
        events.write(&mut out);
        out.gauge("wharfinger_connections", "Open connections of clients.")
            .sample(&[], connections.value());
        quotas::write(&mut out, &used);
        self.write_logins(&mut out);
        self.write_database(&mut out);
        self.write_audit(&mut out);
        if let Some(notifications) = &self.notifications {
            notifications::write(&mut out, notifications.statistics());
        }
        self.write_traces(&mut out);
        self.write_expiries(&mut out);
        out.counter(
            "wharfinger_log_lines_lost",
            "Lines of the log that could not be written in time.",
        )
        .sample(&[], crate::log::lost_lines());
        out.gauge("wharfinger_build_info", "The version of this program.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
        process::write(&mut out);
        out.finish()
    }

    /// Storage, with the names of Distribution 2 and 3.
    fn write_storage(&self, out: &mut Exposition) {
        let Some((driver, storage)) = &self.storage else {
            return;
        };
        let statistics = storage.statistics();
        let mut family = out.histogram(
            "registry_storage_action_seconds",
            "The number of seconds that the storage action takes",
        );
        for (action, durations) in &statistics.actions {
            if durations.total() > 0 {
                let labels = [("action", *action), ("driver", *driver)];
                family.distribution(&labels, durations, MetricUnit::Nanoseconds, &[]);
            }
        }
        let MetadataStatistics {
            manifests,
            blobs,
            looks,
        } = statistics.metadata;
        write_cache(out, manifests, blobs);
        out.gauge(
            "wharfinger_uploads_active",
            "Uploads that requests are writing to.",
        )
        .sample(&[], statistics.active_uploads);
        if let Some(looks) = looks {
            write_durations(
                out,
                "wharfinger_look_duration_seconds",
                "How long a look at what other servers have changed took.",
                &looks.duration,
            );
            out.counter(
                "wharfinger_look_failures",
                "Looks at what other servers have changed that failed.",
            )
            .sample(&[], looks.failures);
        }
    }

    fn write_logins(&self, out: &mut Exposition) {
        if let Some(verified) = self
            .registry
            .as_ref()
            .and_then(|it| it.token_verifications())
        {
            let mut family = out.counter(
                "wharfinger_token_verifications",
                "Tokens that came to the registry: remembered, verified by their signature, refused.",
            );
            for (outcome, count) in [
                ("remembered", verified.remembered),
                ("verified", verified.verified),
                ("refused", verified.refused),
            ] {
                family.sample(&[("outcome", outcome)], count);
            }
            out.gauge(
                "wharfinger_remembered_tokens",
                "Verified tokens that the registry remembers.",
            )
            .sample(&[], verified.entries);
        }
        if let Some(login) = &self.login {
            let remembered = login.remembered();
            out.gauge(
                "wharfinger_remembered_logins",
                "Logins that are remembered.",
            )
            .sample(&[], remembered.entries);
            let mut family = out.counter(
                "wharfinger_login_cache",
                "Logins that were remembered, and those for which a backend was asked.",
            );
            for (outcome, count) in [("hit", remembered.hits), ("miss", remembered.misses)] {
                family.sample(&[("outcome", outcome)], count);
            }
        }
        let workers = self.workers.statistics();
        let mut family = out.gauge(
            "wharfinger_password_verifications",
            "Passwords that are being verified, that wait, and that can be verified at once.",
        );
        for (state, count) in [
            ("running", workers.running),
            ("waiting", workers.waiting),
            ("limit", workers.parallel),
        ] {
            family.sample(&[("state", state)], count);
        }
    }

    fn write_database(&self, out: &mut Exposition) {
        let Some(database) = &self.database else {
            return;
        };
        if let Some(file) = database.sqlite() {
            let commits = file.commits();
            out.gauge(
                "wharfinger_database_writes_waiting",
                "Writes that wait for their commit.",
            )
            .sample(&[], commits.waiting);
            out.histogram(
                "wharfinger_database_commit_writes",
                "How many writes one commit has.",
            )
            .distribution(&[], &commits.batch, MetricUnit::Number, &[]);
            write_durations(
                out,
                "wharfinger_database_write_wait_seconds",
                "How long a write waited for its commit.",
                &commits.wait,
            );
        }
        if let Some(pool) = database.postgres() {
            let pool = pool.statistics();
            let mut family = out.gauge(
                "wharfinger_database_connections",
                "Connections to PostgreSQL: in use, idle, and how many there may be.",
            );
            for (state, count) in [
                ("used", pool.used),
                ("idle", pool.idle),
                ("limit", pool.limit),
            ] {
                family.sample(&[("state", state)], count);
            }
            write_durations(
                out,
                "wharfinger_database_connection_wait_seconds",
                "How long a free connection to PostgreSQL was waited for.",
                &pool.waits,
            );
            out.counter(
                "wharfinger_database_connection_timeouts",
                "How often no connection to PostgreSQL became free in time.",
            )
            .sample(&[], pool.timeouts);
        }
    }

    fn write_audit(&self, out: &mut Exposition) {
        let Some(recorder) = &self.audit else { return };
        let audit = recorder.statistics();
        out.gauge(
            "wharfinger_audit_records_waiting",
            "Records of the audit table that wait in memory.",
        )
        .sample(&[], audit.waiting);
        out.gauge(
            "wharfinger_audit_waiting_bytes",
            "Bytes of the records of the audit table that wait in memory.",
        )
        .sample(&[], audit.waiting_bytes);
        out.counter(
            "wharfinger_audit_events_lost",
            "Events that had no room to wait for the audit table.",
        )
        .sample(&[], audit.lost);
    }

    fn write_traces(&self, out: &mut Exposition) {
        let Some(traces) = &self.traces else { return };
        let spans = traces.statistics();
        let mut family = out.counter(
            "wharfinger_trace_spans",
            "Spans of traces: sent, not taken by the collector, lost for want of room.",
        );
        for (outcome, count) in [
            ("sent", spans.sent),
            ("failed", spans.failed),
            ("lost", spans.lost),
        ] {
            family.sample(&[("outcome", outcome)], count);
        }
    }

    fn write_expiries(&self, out: &mut Exposition) {
        let mut family = out.gauge(
            "wharfinger_certificate_expiry_timestamp_seconds",
            "When a certificate or a signing key ends, in seconds since unix epoch.",
        );
        for expiry in &self.expiries {
            let since = expiry.not_after.duration_since(UNIX_EPOCH);
            let labels = [("name", expiry.name.as_str()), ("purpose", expiry.purpose)];
            family.sample(&labels, since.unwrap_or_default().as_secs());
        }
        let Some(acme) = &self.acme else {
            return;
        };
        let acme = acme.statistics(self.clock.now());
        for host in &acme.hosts {
            if let Some(not_after) = host.not_after {
                let since = not_after.duration_since(UNIX_EPOCH);
                let labels = [("name", host.host.as_str()), ("purpose", "tls")];
                family.sample(&labels, since.unwrap_or_default().as_secs());
            }
        }
        out.counter(
            "wharfinger_certificates_issued",
            "Certificates that this server got from the ACME server.",
        )
        .sample(&[], acme.issued);
        out.counter(
            "wharfinger_certificate_failures",
            "Attempts to get a certificate from the ACME server that failed.",
        )
        .sample(&[], acme.failures);
    }
}

/// The names of Distribution 2 (`cache_total`) and of Distribution 3.
fn write_cache(out: &mut Exposition, manifests: CacheStatistics, blobs: CacheStatistics) {
    let hits = manifests.hits + blobs.hits;
    let misses = manifests.misses + blobs.misses;
    let mut family = out.counter(
        "registry_storage_cache",
        "The number of cache request received",
    );
    for (kind, count) in [("Request", hits + misses), ("Hit", hits), ("Miss", misses)] {
        family.sample(&[("type", kind)], count);
    }
    out.counter(
        "registry_storage_cache_requests",
        "The number of cache request received",
    )
    .sample(&[], hits + misses);
    out.counter(
        "registry_storage_cache_hits",
        "The number of cache request received",
    )
    .sample(&[], hits);
    out.counter(
        "registry_storage_cache_errors",
        "The number of cache request errors",
    )
    .sample(&[], 0_u64);
    let mut family = out.counter(
        "wharfinger_metadata_cache",
        "Manifests and rows of blobs that were in memory, and those that the database was asked for.",
    );
    for (kind, CacheStatistics { hits, misses }) in [("manifest", manifests), ("blob", blobs)] {
        family.sample(&[("kind", kind), ("outcome", "hit")], hits);
        family.sample(&[("kind", kind), ("outcome", "miss")], misses);
    }
}

fn write_durations(
    out: &mut Exposition,
    name: &'static str,
    help: &'static str,
    durations: &HistogramSnapshot,
) {
    out.histogram(name, help)
        .distribution(&[], durations, MetricUnit::Nanoseconds, &[]);
}
