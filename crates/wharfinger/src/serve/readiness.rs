//! `/readyz`: whether this process can serve what it has. `/livez` and `/healthz` say only that it
//! runs.
//!
//! A registry whose content or database is away must not be served: clients would get errors for
//! images that exist. So an orchestrator keeps traffic away until it is back. The same holds for a
//! token server whose rules could not be loaded from their database yet, and for a server that was
//! told to end.
//!
//! Anyone may ask. So requests that arrive while the checks run share their outcome, and checks that
//! follow each other too fast have the last one.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acme::ServerCertificates;
use auth::StoredRules;
use bytes::Bytes;
use common::{BoxFuture, Clock, RequestContext};
use database::Database;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use storage::Storage;

use super::draining::Draining;
use super::health::HealthChecks;
use super::persistent_state::PersistentState;
use super::request_body::RequestBody;
use super::service::{ResponseBody, Service, whole};
use super::shared_check::SharedCheck;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Tells whether what requests need is there.
pub(super) struct Readiness {
    draining: Arc<Draining>,
    /// Four at most, which are checked at the same time.
    parts: Vec<CheckedPart>,
    shared: SharedCheck<Vec<CheckOutcome>>,
    /// What was found last, to log what is new.
    logged: Mutex<Vec<CheckOutcome>>,
}

/// Something that requests need.
enum CheckedPart {
    Rules(Vec<Arc<StoredRules>>),
    Database(Database),
    /// The registry's content: its own, and that of each adopted directory.
    Content(Storage),
    /// The certificates of an ACME server.
    Certificates(Arc<ServerCertificates>, Arc<dyn Clock>),
    /// The checks of the configuration.
    Health(Arc<HealthChecks>),
}

/// What is wrong with a part. Paths and addresses are in the log only.
#[derive(Clone, PartialEq, Eq)]
struct CheckOutcome {
    part: &'static str,
    reason: Option<&'static str>,
    /// What will be wrong later. The server is ready all the same.
    warning: Option<&'static str>,
}

const NO_RULES: &str = "rules cannot be loaded from their database, see the log";
const NO_DATABASE: &str = "the database cannot be used, see the log";
const NO_CONTENT: &str = "content cannot be read, see the log";
const NO_CERTIFICATE: &str = "a host has no certificate yet, see the log";
const EXPIRES_SOON: &str = "a certificate expires soon and was not renewed, see the log";
const EXPIRED: &str = "a certificate has expired, see the log";
const UNHEALTHY: &str = "a health check fails, see /debug/health or the log";
const NO_ANSWER: &str = "it does not answer in time";

impl Readiness {
    /// For what stays when the configuration changes, and rules from databases.
    pub(super) fn new(
        persistent: &PersistentState,
        rules: Vec<Arc<StoredRules>>,
        acme: Option<&Arc<ServerCertificates>>,
    ) -> Self {
        let mut parts = Vec::new();
        if !rules.is_empty() {
            parts.push(CheckedPart::Rules(rules));
        }
        let database = persistent.database.clone();
        parts.extend(database.map(CheckedPart::Database));
        let registry = persistent.registry.as_ref();
        parts.extend(registry.map(|state| CheckedPart::Content(state.storage.clone())));
        parts.extend(acme.map(|certificates| {
            let clock = Arc::clone(&persistent.clock);
            CheckedPart::Certificates(Arc::clone(certificates), clock)
        }));
        if !persistent.health.is_empty() {
            parts.push(CheckedPart::Health(Arc::clone(&persistent.health)));
        }
        Self {
            draining: Arc::clone(&persistent.draining),
            parts,
            shared: SharedCheck::default(),
            logged: Mutex::default(),
        }
    }

    /// What each part says now.
    async fn check(&self) -> Vec<CheckOutcome> {
        let before = self.logged().clone();
        let check = |place: usize| {
            let (part, before) = (self.parts.get(place), &before);
            async move { Some(part?.checked(before).await) }
        };
        let checks = tokio::join!(check(0), check(1), check(2), check(3));
        let outcomes = [checks.0, checks.1, checks.2, checks.3];
        let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
        self.logged().clone_from(&outcomes);
        outcomes
    }

    fn logged(&self) -> MutexGuard<'_, Vec<CheckOutcome>> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckedPart {
    /// Checks it, within a time. What is new of it since `before` is logged.
    async fn checked(&self, before: &[CheckOutcome]) -> CheckOutcome {
        let part = self.name();
        let found = tokio::time::timeout(LIMIT, self.check()).await;
        let (reason, log): (_, Option<LogLine>) = match found {
            Ok(Ok(())) => (None, None),
            Ok(Err((reason, log))) => (Some(reason), log),
            Err(_) => {
                let log = move || tracing::error!(part, "not ready: no answer within 3 seconds");
                (Some(NO_ANSWER), Some(Box::new(log)))
            }
        };
        let outcome = CheckOutcome {
            part,
            reason,
            warning: self.warning(),
        };
        if let (Some(log), false) = (log, before.contains(&outcome)) {
            log();
        }
        outcome
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Rules(_) => "rules",
            Self::Database(_) => "database",
            Self::Content(_) => "content",
            Self::Certificates(..) => "certificates",
            Self::Health(_) => "health",
        }
    }

    /// What to look at before it becomes a failure. What is expired is only a warning: other servers
    /// have the same certificate, and nothing is gained if none of them is asked.
    fn warning(&self) -> Option<&'static str> {
        let Self::Certificates(certificates, clock) = self else {
            return None;
        };
        let now = clock.now();
        let hosts = certificates.statistics(now).hosts;
        let ends = || hosts.iter().filter_map(|host| host.not_after);
        if ends().any(|end| end < now) {
            return Some(EXPIRED);
        }
        let is_soon = hosts.iter().any(|host| host.expires_soon);
        is_soon.then_some(EXPIRES_SOON)
    }

    async fn check(&self) -> Result<(), (&'static str, Option<LogLine>)> {
        match self {
            Self::Rules(rules) => match rules.iter().all(|rules| rules.can_decide()) {
                true => Ok(()),
                // The load itself is in the log.
                false => Err((NO_RULES, None)),
            },
            // The check itself is in the log.
            Self::Health(health) => match health.is_failing() {
                true => Err((UNHEALTHY, None)),
                false => Ok(()),
            },
            Self::Database(database) => database.check().await.map_err(no_database),
            Self::Content(storage) => {
                let locations = storage.unreachable_locations().await.map_err(no_database)?;
                if locations.is_empty() {
                    return Ok(());
                }
                let log = move || {
                    for location in locations {
                        tracing::error!(
                            %location,
                            "not ready: a part of the registry's content cannot be read; check that \
                             it is mounted, and that this user may read it"
                        );
                    }
                };
                Err((NO_CONTENT, Some(Box::new(log))))
            }
            Self::Certificates(certificates, clock) => {
                let hosts = certificates.statistics(clock.now()).hosts;
                match hosts.iter().all(|host| host.not_after.is_some()) {
                    true => Ok(()),
                    // Each attempt is in the log.
                    false => Err((NO_CERTIFICATE, None)),
                }
            }
        }
    }
}

/// Writes into the log what is wrong.
type LogLine = Box<dyn FnOnce() + Send>;

fn no_database(error: impl Error + Send + 'static) -> (&'static str, Option<LogLine>) {
    let log = move || {
        let error: &(dyn Error + 'static) = &error;
        tracing::error!(error, "not ready: the database cannot be used");
    };
    (NO_DATABASE, Some(Box::new(log)))
}

impl Service for Readiness {
    fn respond<'a>(
        &'a self,
        _: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            if !is_read(&request) {
                return not_allowed();
            }
            let outcomes = self.shared.outcome(self.check()).await;
            let is_draining = self.draining.has_begun();
            let is_ready = !is_draining && outcomes.iter().all(|found| found.reason.is_none());
            let checks: Vec<_> = outcomes
                .iter()
                .map(
                    |outcome| match (outcome.part, outcome.reason, outcome.warning) {
                        (part, Some(reason), _) => {
                            json!({ "name": part, "ok": false, "reason": reason })
                        }
                        (part, None, Some(warning)) => {
                            json!({ "name": part, "ok": true, "warning": warning })
                        }
                        (part, None, None) => json!({ "name": part, "ok": true }),
                    },
                )
                .collect();
            let body = json!({ "ready": is_ready, "draining": is_draining, "checks": checks });
            let status = match is_ready {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            answer(status, &body)
        })
    }

    fn has_access_log(&self) -> bool {
        false
    }
}

/// `/livez`: the process runs. It says so as long as it can say anything.
pub(super) struct Liveness;

impl Service for Liveness {
    fn respond<'a>(
        &'a self,
        _: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            match is_read(&request) {
                true => answer(StatusCode::OK, &json!({ "alive": true })),
                false => not_allowed(),
            }
        })
    }

    fn has_access_log(&self) -> bool {
        false
    }
}

fn is_read(request: &Request<RequestBody>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(format!("{body}\n")));
    let mut response = whole(Response::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_allowed() -> Response<ResponseBody> {
    let error = json!({ "error": "use GET or HEAD" });
    let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, &error);
    let allow = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allow);
    response
}
