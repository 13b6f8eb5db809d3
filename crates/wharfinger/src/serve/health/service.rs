//! `/debug/health`, and the response to requests while a check fails.

use std::sync::Arc;

use bytes::Bytes;
use common::{BoxFuture, RequestContext};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value};

use super::HealthChecks;
use crate::serve::request_body::RequestBody;
use crate::serve::service::{ResponseBody, Service, whole};

/// The response while a check fails, with Distribution's words (`health.Handler`).
const UNHEALTHY: &str = "{\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"service unavailable\",\"detail\":\"health check failed: please see /debug/health\"}]}\n";

/// Says which checks fail: an object with a sentence for each, 503 if there are any.
pub(in crate::serve) struct DebugHealth(pub(in crate::serve) Arc<HealthChecks>);

impl Service for DebugHealth {
    fn respond<'a>(
        &'a self,
        _: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                let body = "404 page not found\n".to_owned();
                return response(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", body);
            }
            let failed = self.0.failed();
            let status = match failed.is_empty() {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            let failed = failed.into_iter();
            let body: Map<String, Value> = failed
                .map(|check| (check.name, Value::String(check.reason)))
                .collect();
            response(status, "application/json", Value::Object(body).to_string())
        })
    }

    fn has_access_log(&self) -> bool {
        false
    }
}

/// The response to a request to the registry while a check fails.
pub(in crate::serve) fn unhealthy() -> Response<ResponseBody> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    response(status, "application/json", UNHEALTHY.to_owned())
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: String,
) -> Response<ResponseBody> {
    let mut response = whole(Response::new(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
