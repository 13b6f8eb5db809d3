//! Sends `object_store`'s requests with a client of ours, which trusts the authorities of the
//! configuration, and which does not ask a store that keeps failing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use common::Clock;
use http::StatusCode;
use http_body_util::BodyExt;
use identity::CircuitBreaker;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::Body;
use traces::{SpanKind, in_child_span};

use crate::signature::BucketAddress;

/// How many failures in a row stop all requests. Each request that fails is tried four times.
const FAILURES: u32 = 20;

/// Gives every part of `object_store` the same client.
#[derive(Clone, Debug)]
pub(crate) struct Connector(Service);

impl Connector {
    pub(crate) fn new(
        client: reqwest::Client,
        store: &BucketAddress,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let breaker = CircuitBreaker::new("registry.storage.s3", clock).opening_after(FAILURES);
        Self(Service {
            client,
            store: store.authority().to_owned(),
            breaker: Arc::new(breaker),
        })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

#[derive(Clone)]
struct Service {
    client: reqwest::Client,
    /// The host and port of the store. Services that give keys are asked by the same client.
    store: String,
    breaker: Arc<CircuitBreaker>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

// Written as the crate `async-trait` would, which nothing else here needs.
impl HttpService for Service {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let authority = request.uri().authority();
            let is_store = authority.is_some_and(|authority| *authority == *self.store);
            let attempt = is_store.then(|| self.breaker.admit()).transpose();
            let attempt = attempt.map_err(|open| HttpError::new(HttpErrorKind::Unknown, open))?;
            let (parts, body) = request.into_parts();
            let request = http::Request::from_parts(parts, Body::wrap(body));
            let mut request = reqwest::Request::try_from(request).map_err(error)?;
            let sent = async {
                // Not a part of what is signed.
                traces::propagate(request.headers_mut());
                self.client.execute(request).await
            };
            let response = in_child_span("bucket", SpanKind::Client, sent).await;
            if let Some(attempt) = attempt {
                match &response {
                    Ok(response) if !has_failed(response.status()) => attempt.succeeded(),
                    _ => attempt.failed(),
                }
            }
            let response = response.map_err(error)?;
            let (parts, body) = http::Response::<Body>::from(response).into_parts();
            let body = HttpResponseBody::new(body.map_err(error));
            Ok(HttpResponse::from_parts(parts, body))
        })
    }
}

/// Whether the store itself has failed. Other statuses are about one request.
fn has_failed(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502..=504)
}

/// `object_store` tries again what certainly did nothing, or may be done twice.
fn error(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else if error.is_builder() {
        HttpErrorKind::Unknown
    } else {
        // The connection broke while the request was sent or the response was read.
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}
