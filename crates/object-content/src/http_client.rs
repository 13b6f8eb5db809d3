//! Sends `object_store`'s requests with a client of ours, which trusts the authorities of the
//! configuration.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::Body;

/// Gives every part of `object_store` the same client.
#[derive(Debug)]
pub(crate) struct Connector(pub(crate) reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.clone())))
    }
}

#[derive(Clone)]
struct Service(reqwest::Client);

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
            let (parts, body) = request.into_parts();
            let request = http::Request::from_parts(parts, Body::wrap(body));
            let request = reqwest::Request::try_from(request).map_err(error)?;
            let response = self.0.execute(request).await.map_err(error)?;
            let (parts, body) = http::Response::<Body>::from(response).into_parts();
            let body = HttpResponseBody::new(body.map_err(error));
            Ok(HttpResponse::from_parts(parts, body))
        })
    }
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
