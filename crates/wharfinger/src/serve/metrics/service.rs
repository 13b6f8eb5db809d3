//! Responds to Prometheus.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use common::{BoxFuture, RequestContext, Secret};
use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use metrics::TextFormat;

use super::ScrapeSources;
use crate::serve::request_body::RequestBody;
use crate::serve::service::{ResponseBody, Service, empty_response, whole};

/// Responds with all metrics, to clients that have the token if there is one.
pub(in crate::serve) struct MetricsService {
    sources: ScrapeSources,
    token: Option<Secret>,
}

impl MetricsService {
    pub(in crate::serve) fn new(sources: ScrapeSources, token: Option<Secret>) -> Self {
        Self { sources, token }
    }

    /// Whether the client may read the metrics (RFC 6750 §2.1).
    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let sent = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let sent = sent.and_then(|sent| sent.split_at_checked("Bearer ".len()));
        sent.is_some_and(|(scheme, sent)| {
            scheme.eq_ignore_ascii_case(b"Bearer ")
                && verify_slices_are_equal(sent, token.expose().as_bytes()).is_ok()
        })
    }
}

impl Service for MetricsService {
    fn respond<'a>(
        &'a self,
        _: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            if !self.is_allowed(request.headers()) {
                let mut response = empty_response(StatusCode::UNAUTHORIZED);
                let challenge = HeaderValue::from_static("Bearer realm=\"metrics\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                return response;
            }
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                let mut response = empty_response(StatusCode::METHOD_NOT_ALLOWED);
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allow);
                return response;
            }
            let accept = request.headers().get(ACCEPT);
            let format = TextFormat::of_accept(accept.and_then(|accept| accept.to_str().ok()));
            let text = self.sources.write(format).await;
            let mut response = whole(Response::new(Full::new(Bytes::from(text))));
            let headers = response.headers_mut();
            let content_type = HeaderValue::from_static(format.content_type());
            headers.insert(CONTENT_TYPE, content_type);
            headers.insert(VARY, HeaderValue::from_static("Accept"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        })
    }

    fn has_access_log(&self) -> bool {
        false
    }
}
