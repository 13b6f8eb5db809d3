//! What a server responds with until it has reached its database for the first time.
//!
//! Replicas and their database are started together, in any order. A server that ended because its
//! database is not there yet would only be started again. So it listens, and says that it is not
//! ready.

use bytes::Bytes;
use common::{BoxFuture, RequestContext};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::Full;

use super::request_body::RequestBody;
use super::service::{ResponseBody, Service, whole};

/// The registry's form of an error (distribution-spec, "Error Codes"), which is the token server's,
/// too.
const BODY: &str = "{\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"the server has not reached its database yet\",\"detail\":null}]}\n";

/// The form of `/readyz`.
const NOT_READY: &str = "{\"ready\":false,\"draining\":false,\"checks\":[{\"name\":\"database\",\"ok\":false,\"reason\":\"the database was not reached yet\"}]}\n";

/// Responds to everything but `/healthz` and `/livez`: not yet.
pub(super) struct WaitingForDatabase;

impl Service for WaitingForDatabase {
    fn respond<'a>(
        &'a self,
        _: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        let path = request.uri().path();
        let is_health = path.ends_with("/healthz") || path.ends_with("/livez");
        let is_readiness = path.ends_with("/readyz");
        Box::pin(async move {
            let (status, body) = match is_health {
                true => (StatusCode::OK, ""),
                false if is_readiness => (StatusCode::SERVICE_UNAVAILABLE, NOT_READY),
                false => (StatusCode::SERVICE_UNAVAILABLE, BODY),
            };
            let body = Full::new(Bytes::from_static(body.as_bytes()));
            let mut response = whole(Response::new(body));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            if !is_health {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            response
        })
    }

    fn has_access_log(&self) -> bool {
        true
    }
}
