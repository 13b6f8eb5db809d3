//! Every address of the token server, and what answers there.

use bytes::Bytes;
use common::RequestContext;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use percent_encoding::percent_decode_str;

use crate::audit::DecisionRecord;
use crate::issue::IssueError;
use crate::request::TokenRequest;
use crate::response::{self, ErrorResponse, HttpResponse, TokenResponse};
use crate::server::TokenServer;

/// What a path leads to.
enum Route {
    /// A page that says that somebody is there: for people and for probes.
    Index,
    /// The token endpoint.
    Token,
    /// The public keys (RFC 7517 §5).
    Jwks,
}

impl TokenServer {
    /// Responds to one request.
    pub async fn respond<B>(&self, context: &RequestContext, request: Request<B>) -> HttpResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut answer = match (self.route(request.uri().path()), request.method()) {
            (None, _) => {
                response::text(StatusCode::NOT_FOUND, "there is nothing at this address\n")
            }
            (Some(Route::Token), &Method::GET | &Method::HEAD | &Method::POST) => {
                self.token(context, request).await
            }
            (Some(Route::Token), _) => response::method_not_allowed("GET, HEAD, POST"),
            (Some(Route::Index), &Method::GET | &Method::HEAD) => {
                response::text(StatusCode::OK, "wharfinger: ready\n")
            }
            (Some(Route::Jwks), &Method::GET | &Method::HEAD) => response::jwks(&self.jwks()),
            (Some(Route::Index | Route::Jwks), _) => response::method_not_allowed("GET, HEAD"),
        };
        if let Some(hsts) = &self.settings.hsts {
            answer
                .headers_mut()
                .insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        answer
    }

    /// Where `path` leads. It is decoded but, as in `docker_auth`, not cleaned: `//auth` is another
    /// path than `/auth`.
    fn route(&self, path: &str) -> Option<Route> {
        let path: std::borrow::Cow<'_, [u8]> = percent_decode_str(path).into();
        let own = path.strip_prefix(self.settings.path_prefix.as_bytes());
        match own {
            Some(b"/auth" | b"/auth/token" | b"/token") => return Some(Route::Token),
            Some(b"/.well-known/jwks.json") => return Some(Route::Jwks),
            Some(b"/" | b"/healthz") => return Some(Route::Index),
            _ => {}
        }
        // Probes and registries know nothing of a prefix.
        match path.as_ref() {
            b"/" | b"/healthz" => Some(Route::Index),
            b"/.well-known/jwks.json" => Some(Route::Jwks),
            _ => None,
        }
    }

    /// The token endpoint: reads, decides, logs one line, answers.
    async fn token<B>(&self, context: &RequestContext, request: Request<B>) -> HttpResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = self.settings.clock.now();
        let request_id = context.request_id.as_str();
        let mut record = DecisionRecord::default();
        let result = self.read_and_issue(context, request, &mut record).await;
        let (answer, refusal) = match result {
            Ok(token) => (token.answer(), None),
            Err(IssueError::Rejected(refusal)) => {
                (refusal.answer(&self.settings.issuer), Some(refusal))
            }
            Err(IssueError::Internal(error)) => {
                tracing::error!(
                    request_id,
                    error = error.as_ref() as &dyn std::error::Error,
                    "a request failed"
                );
                let refusal = ErrorResponse::Internal(request_id.to_owned());
                (refusal.answer(&self.settings.issuer), Some(refusal))
            }
        };
        let took = self
            .settings
            .clock
            .now()
            .duration_since(began)
            .unwrap_or_default();
        record.write(
            request_id,
            took,
            &self.settings.rule_origins,
            refusal.as_ref(),
        );
        context.set_account(&record.account);
        answer
    }

    async fn read_and_issue<B>(
        &self,
        context: &RequestContext,
        request: Request<B>,
        record: &mut DecisionRecord,
    ) -> Result<TokenResponse, IssueError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        record.address = context
            .shown_address()
            .map(|ip| ip.to_string())
            .unwrap_or_default();
        let address = context.client.clone().map_err(ErrorResponse::from)?;
        let body = self.read_body(body).await?;
        let query = head.uri.query().unwrap_or_default();
        let request = TokenRequest::parse(&head.method, &head.headers, query, &body)
            .map_err(ErrorResponse::from)?;
        self.issue(request, address, record).await
    }

    /// The whole body, within its bounds of size and time; chunked or not.
    async fn read_body<B>(&self, body: B) -> Result<Bytes, ErrorResponse>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = self.settings.body_limit;
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        // What says at once that it is too long is not waited for.
        if body.size_hint().lower() > limit as u64 {
            return Err(ErrorResponse::BodyTooLarge(limit));
        }
        let collected = Box::pin(Limited::new(body, limit).collect());
        match tokio::time::timeout(self.settings.body_timeout, collected).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(ErrorResponse::BodyTooLarge(limit))
            }
            Ok(Err(_)) => Err(ErrorResponse::BodyBroken),
            Err(_) => Err(ErrorResponse::BodyTooSlow),
        }
    }
}
