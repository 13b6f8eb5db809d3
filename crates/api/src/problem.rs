//! Problem details (RFC 9457): the one place where errors become HTTP.
//!
//! A 5xx holds the request's id, under which the log has the cause, and nothing else. A resource says
//! in its own file which problem each of its errors is.

use std::error::Error;
use std::time::Duration;

use common::seconds_rounded_up;
use database::PreconditionFailed;
use http::StatusCode;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::Serialize;

use crate::scope::ScopeRequirement;

/// Why a request fails.
#[derive(Debug)]
pub(crate) struct ApiProblem {
    status: StatusCode,
    kind: Option<ProblemKind>,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, String)>,
    /// What goes to the log, and not to the client.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The problems that a program may want to distinguish beyond their status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    InvalidToken,
    InsufficientScope,
    InvalidRequest,
    InvalidValue,
    AlreadyExists,
    PreconditionFailed,
    LimitReached,
    TooManyRequests,
    IdempotencyKeyReused,
    IdempotencyKeyInUse,
}

/// A member of the request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FieldError {
    /// Which member of the body: a JSON pointer (RFC 6901). Absent for a parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// Which parameter of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// What is wrong with it.
    pub(crate) detail: String,
}

/// A problem as it is sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemView {
    /// `about:blank`, or which problem it is: `urn:wharfinger:problem:already-exists`.
    #[serde(rename = "type")]
    kind: String,
    /// What the status or the type means, the same each time.
    title: String,
    /// The status of the response.
    status: u16,
    /// What is wrong with this request, and what to do.
    detail: String,
    /// `urn:wharfinger:request:` and the request's id, which the server's log has, too.
    instance: String,
    /// The members and parameters that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl ApiProblem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind: None,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }
    }

    pub(crate) fn of_kind(
        status: StatusCode,
        kind: ProblemKind,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: Some(kind),
            ..Self::new(status, detail)
        }
    }

    /// The same with a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 404: there is no such object, or the caller may not know of it.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: the name is taken.
    pub(crate) fn already_exists(detail: impl Into<String>) -> Self {
        Self::of_kind(StatusCode::CONFLICT, ProblemKind::AlreadyExists, detail)
    }

    /// 409: there are as many as there may be.
    pub(crate) fn limit_reached(detail: impl Into<String>) -> Self {
        Self::of_kind(StatusCode::CONFLICT, ProblemKind::LimitReached, detail)
    }

    /// 400: the body is not what the operation reads. `pointer` says where.
    pub(crate) fn invalid_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            errors: vec![FieldError {
                pointer: Some(pointer.into()),
                parameter: None,
                detail: detail.clone(),
            }],
            ..Self::of_kind(StatusCode::BAD_REQUEST, ProblemKind::InvalidRequest, detail)
        }
    }

    /// 400: a parameter of the query is wrong.
    pub(crate) fn invalid_parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            errors: vec![FieldError {
                pointer: None,
                parameter: Some(name.into()),
                detail: detail.clone(),
            }],
            ..Self::of_kind(StatusCode::BAD_REQUEST, ProblemKind::InvalidRequest, detail)
        }
    }

    /// 422: the member at `pointer` has the right type, and a value that cannot be.
    pub(crate) fn invalid_value(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self {
            status,
            kind: Some(ProblemKind::InvalidValue),
            ..Self::invalid_body(pointer, detail)
        }
    }

    /// 405, with the methods that would have worked (RFC 9110 §15.5.6).
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let detail = format!("this path takes {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_header(ALLOW, allow)
    }

    /// 401: the request has no token.
    pub(crate) fn no_token(challenge: String) -> Self {
        let detail = "a token is needed: ask the token endpoint for one with this service and scope, \
                      and send it as `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// 401: its token does not verify. The reason is not told: it would help to forge one.
    pub(crate) fn invalid_token(challenge: String) -> Self {
        let detail = "the token is not valid here: it has expired, is for another service, was not \
                      issued by this server, or its account is gone";
        Self::of_kind(StatusCode::UNAUTHORIZED, ProblemKind::InvalidToken, detail)
            .with_header(WWW_AUTHENTICATE, challenge)
    }

    /// 403: its token does not grant enough (RFC 6750 §3.1).
    pub(crate) fn insufficient_scope(needed: ScopeRequirement, challenge: String) -> Self {
        let or_own = needed
            .own
            .map(|own| format!(" (or {own}, for what is your own)"));
        let detail = format!(
            "the token does not grant {}{}: ask the token endpoint for this scope; if it is not granted, \
             an administrator must add a rule, and a robot's or a personal token needs it in its ceiling",
            needed.full,
            or_own.unwrap_or_default()
        );
        Self::of_kind(
            StatusCode::FORBIDDEN,
            ProblemKind::InsufficientScope,
            detail,
        )
        .with_header(WWW_AUTHENTICATE, challenge)
    }

    /// 403: its token grants what is the caller's own, and the request names another account.
    pub(crate) fn only_own(detail: impl Into<String>) -> Self {
        Self::of_kind(
            StatusCode::FORBIDDEN,
            ProblemKind::InsufficientScope,
            detail,
        )
    }

    /// 429: the source has made too many requests.
    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        let seconds = seconds_rounded_up(wait);
        let detail = format!("too many requests: try again in {seconds} seconds");
        Self::of_kind(
            StatusCode::TOO_MANY_REQUESTS,
            ProblemKind::TooManyRequests,
            detail,
        )
        .with_header(RETRY_AFTER, seconds.to_string())
    }

    /// 500. The cause goes to the log.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "internal error: the server's log has the cause under the id in `instance`";
        Self {
            cause: Some(cause.into()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        }
    }

    /// 503. The cause goes to the log, and another try may succeed.
    pub(crate) fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "this cannot be done now: try again; the server's log has the cause under the \
                      id in `instance`";
        let problem = Self {
            cause: Some(cause.into()),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        };
        problem.with_header(RETRY_AFTER, identity::RETRY_AFTER.as_secs().to_string())
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers beside those of every response.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let headers = self.headers.iter();
        // All are numbers, methods, or texts of the configuration.
        headers.filter_map(|(name, text)| Some((name.clone(), HeaderValue::from_str(text).ok()?)))
    }

    /// What is sent. The cause is logged here, once.
    pub(crate) fn into_view(self, request_id: &str) -> ProblemView {
        if let Some(cause) = self.cause {
            let error = cause.as_ref() as &dyn Error;
            tracing::error!(request_id, error, "a request to the API failed");
        }
        let title = match self.kind {
            Some(kind) => kind.title(),
            None => self.status.canonical_reason().unwrap_or("Error"),
        };
        ProblemView {
            kind: self.kind.map_or("about:blank".to_owned(), |kind| {
                format!("urn:wharfinger:problem:{}", kind.name())
            }),
            title: title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            instance: format!("urn:wharfinger:request:{request_id}"),
            errors: self.errors,
        }
    }
}

impl From<PreconditionFailed> for ApiProblem {
    fn from(_: PreconditionFailed) -> Self {
        let detail =
            "the object has changed: read it again, and repeat the change if it still applies";
        let status = StatusCode::PRECONDITION_FAILED;
        Self::of_kind(status, ProblemKind::PreconditionFailed, detail)
    }
}

/// A failure of the database.
impl From<database::Error> for ApiProblem {
    fn from(error: database::Error) -> Self {
        match error.may_pass() {
            true => Self::unavailable(error),
            false => Self::internal(error),
        }
    }
}

impl ProblemKind {
    /// The end of its URN. It never changes: programs compare it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid-token",
            Self::InsufficientScope => "insufficient-scope",
            Self::InvalidRequest => "invalid-request",
            Self::InvalidValue => "invalid-value",
            Self::AlreadyExists => "already-exists",
            Self::PreconditionFailed => "precondition-failed",
            Self::LimitReached => "limit-reached",
            Self::TooManyRequests => "too-many-requests",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::IdempotencyKeyInUse => "idempotency-key-in-use",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidToken => "The token is not valid",
            Self::InsufficientScope => "The token does not grant enough",
            Self::InvalidRequest => "The request cannot be read",
            Self::InvalidValue => "A value cannot be used",
            Self::AlreadyExists => "The name is taken",
            Self::PreconditionFailed => "The object has changed",
            Self::LimitReached => "There may be no more",
            Self::TooManyRequests => "Too many requests",
            Self::IdempotencyKeyReused => "The key was used for another request",
            Self::IdempotencyKeyInUse => "The key is in use",
        }
    }
}
