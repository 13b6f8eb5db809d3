//! The API as it is configured, and the way of a request through it: route, authority, body,
//! handler, response.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use auth::{BodyLimits, BodyReadError};
use bytes::Bytes;
use common::{Clock, Entropy, RequestContext};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::Full;
use hyper::body::Body;
use identity::{CurrentAccount, RequestLimiter};
use percent_encoding::percent_decode_str;
use policy::{API_TYPE, AclQuery};
use serde_json::Value;
use token::Verifier;

use crate::authority::{ApiAuthority, ApiCaller, Reach};
use crate::body::MAX_BODY;
use crate::call::ParsedRequest;
use crate::etag::has_current;
use crate::idempotency::{
    IdempotencyKeys, KeyClaim, REPLAYED, ResponseKey, key_of, request_digest,
};
use crate::openapi;
use crate::operation::ApiOperation;
use crate::problem::ApiProblem;
use crate::reply::ApiResponse;
use crate::routes::{OPENAPI, operations};
use crate::scope::ScopeRequirement;
use crate::state::{ApiState, ApiStores};

/// A response with its whole body.
pub type ApiHttpResponse = Response<Full<Bytes>>;

/// What an [`Api`] is made of.
pub struct ApiSettings {
    /// What stands before `/api/v1` and before the path of the token endpoint.
    pub path_prefix: String,
    /// The `aud` of its tokens.
    pub service: String,
    /// Verifies them.
    pub verifier: Verifier,
    /// Counts requests; it outlives a reload that does not change its rate.
    pub limiter: Arc<RequestLimiter>,
    /// The value of `Strict-Transport-Security`.
    pub hsts: Option<HeaderValue>,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// What it manages.
    pub stores: ApiStores,
    /// The host of the registry beside the token server, if it is known.
    pub registry: Option<String>,
    /// Encrypts the responses that are kept for an `Idempotency-Key`.
    pub response_key: ResponseKey,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The API.
pub struct Api {
    path: String,
    operations: Vec<ApiOperation>,
    openapi: Value,
    authority: ApiAuthority,
    body: BodyLimits,
    idempotency: Arc<IdempotencyKeys>,
    hsts: Option<HeaderValue>,
    state: Arc<ApiState>,
}

/// What a path and a method lead to.
enum Matched<'a> {
    OpenApi,
    Operation(&'a ApiOperation, Vec<(&'static str, String)>),
}

impl Api {
    /// The API of these settings.
    #[must_use]
    pub fn new(settings: ApiSettings) -> Self {
        Self {
            path: format!("{}/api", settings.path_prefix),
            operations: operations(),
            openapi: openapi::document(),
            authority: ApiAuthority {
                verifier: settings.verifier,
                service: settings.service,
                token_path: format!("{}/auth", settings.path_prefix),
                limiter: settings.limiter,
                clock: Arc::clone(&settings.clock),
            },
            body: BodyLimits {
                bytes: MAX_BODY,
                timeout: settings.body_timeout,
            },
            idempotency: Arc::new(IdempotencyKeys {
                database: settings.stores.database.clone(),
                key: settings.response_key,
                clock: Arc::clone(&settings.clock),
                entropy: settings.entropy,
            }),
            hsts: settings.hsts,
            state: Arc::new(ApiState {
                stores: settings.stores,
                registry: settings.registry,
                clock: settings.clock,
            }),
        }
    }

    /// The path that it has, with all below it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Responds to one request.
    pub async fn respond<B>(&self, context: &RequestContext, request: Request<B>) -> ApiHttpResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let mut response = match self.run(context, &head, body).await {
            Ok(response) => written(&head, &response),
            Err(problem) => problem_response(context, problem),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(hsts) = &self.hsts {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        response
    }

    async fn run<B>(
        &self,
        context: &RequestContext,
        head: &request::Parts,
        body: B,
    ) -> Result<ApiResponse, ApiProblem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (operation, parameters) = match self.find(head) {
            Ok(Matched::Operation(operation, parameters)) => (operation, parameters),
            Ok(Matched::OpenApi) => {
                self.authority.admit_without_token(context)?;
                return Ok(self.openapi());
            }
            Err(problem) => {
                self.authority.admit_without_token(context)?;
                return Err(problem);
            }
        };
        let authority = &self.authority;
        let caller = authority.authorize(context, &head.headers, operation.needed)?;
        let caller = self
            .checked_again(context, caller, operation.needed)
            .await?;
        if context.client.is_err() {
            // Its address is logged and may be asked for: a proxy in front must say it.
            return Err(ApiProblem::new(
                StatusCode::BAD_REQUEST,
                "the client's address is not known: the proxy in front must send it",
            ));
        }
        let body = self.body.read(body).await.map_err(unreadable)?;
        let request = ParsedRequest {
            headers: head.headers.clone(),
            path: context.origin.path(head.uri.path()),
            parameters,
            query: head.uri.query().unwrap_or_default().to_owned(),
            body,
        };
        self.handle(operation, head, caller, request).await
    }

    /// The caller with the rights of this moment. The token may be some minutes old, which is too long
    /// for an administrator: what it stands on may have been taken away since.
    async fn checked_again(
        &self,
        context: &RequestContext,
        caller: ApiCaller,
        needed: ScopeRequirement,
    ) -> Result<ApiCaller, ApiProblem> {
        let stores = &self.state.stores;
        let accounts = stores.token_server.accounts();
        let current = accounts.current(caller.named()).await?;
        if current == CurrentAccount::Gone || stores.has_changed_since(&caller).await? {
            return Err(self.authority.invalid_token(context, needed));
        }
        let CurrentAccount::Present(identity) = current else {
            // Only its proof would tell its labels, so the token is what there is.
            return Ok(caller);
        };
        let subject = identity.ruled_subject().unwrap_or(&identity.subject);
        for (reach, scope) in caller.granted_by_token(needed) {
            let query = AclQuery {
                account: &subject.account,
                labels: &subject.labels,
                resource_type: API_TYPE,
                name: scope.name,
                service: &self.authority.service,
                ip: context.client.as_ref().ok().and_then(|client| client.ip),
                actions: &[scope.action.to_owned()],
            };
            if stores.token_server.grants_now(&identity, &query).await? {
                return Ok(caller.reaching(reach));
            }
        }
        Err(self.authority.insufficient_scope(context, needed))
    }

    /// Runs the handler; once for each `Idempotency-Key`.
    async fn handle(
        &self,
        operation: &ApiOperation,
        head: &request::Parts,
        caller: ApiCaller,
        request: ParsedRequest,
    ) -> Result<ApiResponse, ApiProblem> {
        let key = match operation.is_creation {
            true => key_of(&head.headers)?,
            false => None,
        };
        let state = Arc::clone(&self.state);
        let Some(key) = key else {
            return operation.run(caller, state, request).await;
        };
        let path = head.uri.path().as_bytes();
        let reach = match caller.reach() {
            Reach::Everything => "everything",
            Reach::Own => "own",
        };
        let request_parts = [
            operation.id.as_bytes(),
            path,
            reach.as_bytes(),
            &request.body,
        ];
        let digest = request_digest(&request_parts);
        let keys = Arc::clone(&self.idempotency);
        let (account, key) = (caller.account().to_owned(), key.to_owned());
        let handled = operation.run(caller, state, request);
        // In a task of its own, so that a client that goes away does not leave the outcome open.
        let task = tokio::spawn(async move {
            match keys.claim(&account, &key, digest).await? {
                KeyClaim::New(claimed) => {
                    let result = handled.await;
                    keys.settle(claimed, &result).await;
                    result
                }
                KeyClaim::Answered(mut response) => {
                    response.headers.push((REPLAYED, "true".to_owned()));
                    Ok(response)
                }
            }
        });
        task.await
            .unwrap_or_else(|error| Err(ApiProblem::internal(error)))
    }

    /// What the path and the method of a request lead to.
    fn find(&self, head: &request::Parts) -> Result<Matched<'_>, ApiProblem> {
        let not_found = || ApiProblem::not_found("there is no such path: see /api/v1/openapi.json");
        let path = head
            .uri
            .path()
            .strip_prefix(&self.path)
            .and_then(|path| path.strip_prefix("/v1"))
            .ok_or_else(not_found)?;
        // HEAD is GET without a body (RFC 9110 §9.3.2).
        let method = match &head.method {
            &Method::HEAD => &Method::GET,
            method => method,
        };
        if path == OPENAPI {
            return match *method {
                Method::GET => Ok(Matched::OpenApi),
                _ => Err(ApiProblem::method_not_allowed("GET, HEAD".to_owned())),
            };
        }
        let segments = segments(path).ok_or_else(not_found)?;
        let mut allowed: Vec<&str> = Vec::new();
        for operation in &self.operations {
            let Some(parameters) = operation.parameters(&segments) else {
                continue;
            };
            if operation.method == *method {
                return Ok(Matched::Operation(operation, parameters));
            }
            allowed.push(operation.method.as_str());
            if operation.method == Method::GET {
                allowed.push("HEAD");
            }
        }
        match allowed.is_empty() {
            true => Err(not_found()),
            false => Err(ApiProblem::method_not_allowed(allowed.join(", "))),
        }
    }

    fn openapi(&self) -> ApiResponse {
        ApiResponse {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: self.openapi.clone(),
            tag: None,
        }
    }
}

/// The decoded segments of a path, which begins with a slash. A slash that is encoded belongs to a
/// segment.
fn segments(path: &str) -> Option<Vec<String>> {
    let decode = |segment: &str| {
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        Some(decoded.into_owned())
    };
    path.strip_prefix('/')?.split('/').map(decode).collect()
}

fn unreadable(error: BodyReadError) -> ApiProblem {
    let status = match error {
        BodyReadError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyReadError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyReadError::Incomplete => StatusCode::BAD_REQUEST,
    };
    ApiProblem::new(status, error.to_string())
}

fn problem_response(context: &RequestContext, problem: ApiProblem) -> ApiHttpResponse {
    let (status, headers) = (problem.status(), problem.headers().collect::<Vec<_>>());
    let view = problem.into_view(&context.request_id);
    // A problem is texts and numbers.
    let body = serde_json::to_vec(&view).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    let media_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// The response, or 304 if the client has what it would say (RFC 9110 §13.1.2).
fn written(head: &request::Parts, reply: &ApiResponse) -> ApiHttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = reply.status;
    for (name, text) in &reply.headers {
        // Paths that are encoded, and texts of ours.
        if let Ok(value) = HeaderValue::from_str(text) {
            response.headers_mut().insert(name, value);
        }
    }
    if let Some(tag) = &reply.tag {
        if let Ok(value) = HeaderValue::from_str(tag.as_str()) {
            response.headers_mut().insert(ETAG, value);
        }
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        if is_read && has_current(&head.headers, tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
    }
    if !reply.body.is_null() {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        *response.body_mut() = Full::new(Bytes::from(reply.body.to_string()));
    }
    response
}
