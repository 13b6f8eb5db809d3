//! A service: something that responds to requests, as the token server and the registry do.

use api::Api;
use auth::TokenServer;
use bytes::Bytes;
use common::{BoxFuture, RequestContext};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use registry::{Registry, RegistryEndpoint};
use sign_in::SignInServer;

use super::measured_handler::MeasuredHandler;
use super::request_body::RequestBody;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every service's response.
pub(super) type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// Something that responds to requests.
pub(super) trait Service: Send + Sync {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>>;

    /// What a request for this path is counted as in the metrics, if it is.
    fn measured(&self, _path: &str) -> Option<MeasuredHandler> {
        None
    }

    /// Whether the service is refused while a health check fails.
    fn needs_health(&self) -> bool {
        false
    }

    /// Whether the access log has a line for each request. The token server and the sign-in pages write
    /// lines of their own.
    fn has_access_log(&self) -> bool;
}

/// A response of the server itself, without a body: no service is asked.
pub(super) fn empty_response(status: StatusCode) -> Response<ResponseBody> {
    let mut response = whole(Response::default());
    *response.status_mut() = status;
    response
}

/// A response with its whole body.
pub(super) fn whole(response: Response<Full<Bytes>>) -> Response<ResponseBody> {
    response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
}

impl Service for TokenServer {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move { whole(Self::respond(self, context, request).await) })
    }

    fn measured(&self, path: &str) -> Option<MeasuredHandler> {
        // Probes would hide how clients fare.
        let is_probe = path == "/" || path.ends_with("/healthz");
        (!is_probe).then_some(MeasuredHandler::Token)
    }

    fn has_access_log(&self) -> bool {
        false
    }
}

impl Service for SignInServer {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move { whole(Self::respond(self, context, request).await) })
    }

    fn measured(&self, _path: &str) -> Option<MeasuredHandler> {
        Some(MeasuredHandler::SignIn)
    }

    fn has_access_log(&self) -> bool {
        false
    }
}

impl Service for Api {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move { whole(Self::respond(self, context, request).await) })
    }

    fn measured(&self, _path: &str) -> Option<MeasuredHandler> {
        Some(MeasuredHandler::Api)
    }

    fn has_access_log(&self) -> bool {
        true
    }
}

impl Service for Registry {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            let response = Self::respond(self, context, request).await;
            response.map(|body| body.map_err(BoxError::from).boxed_unsync())
        })
    }

    fn measured(&self, path: &str) -> Option<MeasuredHandler> {
        RegistryEndpoint::of_path(path).map(MeasuredHandler::Registry)
    }

    fn needs_health(&self) -> bool {
        true
    }

    fn has_access_log(&self) -> bool {
        true
    }
}
