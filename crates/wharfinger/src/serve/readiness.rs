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

use auth::StoredRules;
use bytes::Bytes;
use common::{BoxFuture, RequestContext};
use database::Database;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use storage::Storage;

use super::draining::Draining;
use super::persistent_state::PersistentState;
use super::request_body::RequestBody;
use super::service::{ResponseBody, Service, whole};
use super::shared_check::SharedCheck;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Tells whether what requests need is there.
pub(super) struct Readiness {
    draining: Arc<Draining>,
    /// Three at most, which are checked at the same time.
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
}

/// What is wrong with a part. Paths and addresses are in the log only.
#[derive(Clone, PartialEq, Eq)]
struct CheckOutcome {
    part: &'static str,
    reason: Option<&'static str>,
}

const NO_RULES: &str = "rules cannot be loaded from their database, see the log";
const NO_DATABASE: &str = "the database cannot be used, see the log";
const NO_CONTENT: &str = "content cannot be read, see the log";
const NO_ANSWER: &str = "it does not answer in time";

impl Readiness {
    /// For what stays when the configuration changes, and rules from databases.
    pub(super) fn new(persistent: &PersistentState, rules: Vec<Arc<StoredRules>>) -> Self {
        let mut parts = Vec::new();
        if !rules.is_empty() {
            parts.push(CheckedPart::Rules(rules));
        }
        let database = persistent.database.clone();
        parts.extend(database.map(CheckedPart::Database));
        let registry = persistent.registry.as_ref();
        parts.extend(registry.map(|state| CheckedPart::Content(state.storage.clone())));
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
        let checks = tokio::join!(check(0), check(1), check(2));
        let outcomes = [checks.0, checks.1, checks.2];
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
        let outcome = CheckOutcome { part, reason };
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
        }
    }

    async fn check(&self) -> Result<(), (&'static str, Option<LogLine>)> {
        match self {
            Self::Rules(rules) => match rules.iter().all(|rules| rules.can_decide()) {
                true => Ok(()),
                // The load itself is in the log.
                false => Err((NO_RULES, None)),
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
                .map(|CheckOutcome { part, reason }| match reason {
                    None => json!({ "name": part, "ok": true }),
                    Some(reason) => json!({ "name": part, "ok": false, "reason": reason }),
                })
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
