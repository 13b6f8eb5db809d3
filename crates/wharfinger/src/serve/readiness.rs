//! `/readyz`: whether this process can serve what it has. `/healthz` says only that it runs.
//!
//! A registry whose content is away must not be served: clients would get errors for images that
//! exist. So an orchestrator keeps traffic away until the disk is back. The same holds for a token
//! server whose rules could not be loaded from their database yet.

use std::error::Error;
use std::sync::Arc;

use auth::StoredRules;
use bytes::Bytes;
use common::{BoxFuture, RequestContext};
use database::Database;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use storage::Storage;

use super::persistent_state::PersistentState;
use super::request_body::RequestBody;
use super::service::{ResponseBody, Service, whole};

/// Tells whether what requests need is there.
pub(super) struct Readiness {
    database: Option<Database>,
    /// The registry's content: its own, and that of each adopted directory.
    storage: Option<Storage>,
    rules: Vec<Arc<StoredRules>>,
}

impl Readiness {
    /// For what stays when the configuration changes, and rules from databases.
    pub(super) fn new(persistent: &PersistentState, rules: Vec<Arc<StoredRules>>) -> Self {
        let registry = persistent.registry.as_ref();
        Self {
            database: persistent.database.clone(),
            storage: registry.map(|state| state.storage.clone()),
            rules,
        }
    }

    /// The status, and a line that says why. Paths are in the log only.
    async fn check(&self) -> (StatusCode, &'static str) {
        const READY: (StatusCode, &str) = (StatusCode::OK, "wharfinger: ready\n");
        if !self.rules.iter().all(|rules| rules.can_decide()) {
            let line = "wharfinger: not ready: rules cannot be loaded from their database, see the \
                        log\n";
            return (StatusCode::SERVICE_UNAVAILABLE, line);
        }
        if let Some(Err(error)) = self.database.as_ref().map(Database::check_file) {
            return no_database(&error);
        }
        let Some(storage) = &self.storage else {
            return READY;
        };
        let line = match storage.unreachable_locations().await {
            Ok(locations) if locations.is_empty() => return READY,
            Ok(locations) => {
                for location in locations {
                    tracing::error!(
                        %location,
                        "not ready: a part of the registry's content cannot be read; check that it \
                         is mounted, and that this user may read it"
                    );
                }
                "wharfinger: not ready: content cannot be read, see the log\n"
            }
            Err(error) => return no_database(&error),
        };
        (StatusCode::SERVICE_UNAVAILABLE, line)
    }
}

fn no_database(error: &(dyn Error + 'static)) -> (StatusCode, &'static str) {
    tracing::error!(error, "not ready: the database cannot be used");
    let line = "wharfinger: not ready: the database cannot be used, see the log\n";
    (StatusCode::SERVICE_UNAVAILABLE, line)
}

impl Service for Readiness {
    fn respond<'a>(
        &'a self,
        _: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
            let (status, line) = if is_read {
                self.check().await
            } else {
                (StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n")
            };
            let body = Full::new(Bytes::from_static(line.as_bytes()));
            let mut response = whole(Response::new(body));
            *response.status_mut() = status;
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, text);
            let no_store = HeaderValue::from_static("no-store");
            response.headers_mut().insert(CACHE_CONTROL, no_store);
            if !is_read {
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allow);
            }
            response
        })
    }

    fn has_access_log(&self) -> bool {
        false
    }
}
