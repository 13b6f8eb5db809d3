//! HTTP responses: the one place where outcomes become HTTP.
//!
//! The body of an error serves all readers: `error` and `error_description` are OAuth 2.0's (RFC
//! 6749 §5.2). Clients built on Distribution print `details` to their users, and other clients
//! `errors`. A 5xx holds the request's id, under which the log has the cause, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use common::{ClientAddressError, seconds_rounded_up};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use identity::OpaqueTokenFault;
use serde::Serialize;
use token::JwkSet;

use crate::body::BodyReadError;
use crate::device::PollError;
use crate::request::RequestError;

/// A response with its whole body.
pub type TokenServerResponse = Response<Full<Bytes>>;

/// A token and what goes with it.
///
/// (Distribution, "Token Authentication Specification", Token Response Fields; RFC 6749 §5.1.)
#[derive(Serialize)]
pub struct TokenResponse {
    /// The token.
    #[serde(skip)]
    pub token: String,
    /// How many seconds it is valid from now on.
    pub expires_in: u64,
    /// When it was made (RFC 3339).
    pub issued_at: String,
    /// What was granted: scopes, joined by spaces.
    pub scope: String,
    /// What kind of token it is, in the response to a token exchange (RFC 8693 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// How it is used, in the same response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// A refresh token, if the client asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// What the client is told if there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErrorResponse {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Address(#[from] ClientAddressError),
    #[error("incorrect username or password")]
    Credentials,
    #[error("authentication required: no user name and no password were sent")]
    NoCredentials,
    #[error("user name missing: a password without a user name must be a token of this server")]
    NoUserName,
    #[error("the refresh token is not valid: log in again")]
    RefreshToken,
    #[error("the subject token is not accepted: the server's log has the reason")]
    SubjectToken,
    #[error(transparent)]
    Poll(#[from] PollError),
    #[error(
        "device login is off: its operator must set refresh_tokens and database, and not switch off \
         device_login"
    )]
    NoDeviceLogins,
    #[error(
        "too many device logins wait for a person: try again in {} seconds",
        seconds_rounded_up(*.0)
    )]
    TooManyDeviceLogins(Duration),
    #[error(transparent)]
    OpaqueToken(OpaqueTokenFault),
    #[error("too many failed logins: try again in {} seconds", seconds_rounded_up(*.0))]
    TooMany(Duration),
    #[error("too many requests are waiting: try again in {} seconds", seconds_rounded_up(*.0))]
    Busy(Duration),
    #[error(transparent)]
    Body(#[from] BodyReadError),
    #[error("internal error: the server's log has the cause under this request id: {0}")]
    Internal(String),
    #[error(
        "the server cannot check this now: try again; its log has the cause under this request id: \
         {0}"
    )]
    Unavailable(String),
}

/// The JSON of an error.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_description: &'a str,
    details: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[RegistryErrorBody<'a>; 1]>,
}

/// The same in a registry's words (OCI distribution-spec, "Error Codes"). helm and crane show the
/// message of these, and nothing or raw JSON of the rest.
#[derive(Serialize)]
struct RegistryErrorBody<'a> {
    code: &'static str,
    message: &'a str,
}

impl ErrorResponse {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // A Basic header that cannot be read is a failed login, not a malformed request.
            Self::Request(
                RequestError::Authorization
                | RequestError::Encoding
                | RequestError::ControlCharacter,
            )
            | Self::Credentials
            | Self::NoCredentials
            | Self::NoUserName
            | Self::RefreshToken
            | Self::OpaqueToken(_) => StatusCode::UNAUTHORIZED,
            Self::Request(
                RequestError::Escape
                | RequestError::ContentType(_)
                | RequestError::AccountMismatch { .. }
                | RequestError::GrantType(_)
                | RequestError::NoRefreshToken
                | RequestError::NoSubjectToken
                | RequestError::SubjectTokenType(_)
                | RequestError::RequestedTokenType(_)
                | RequestError::ActorToken
                | RequestError::SeveralAudiences
                | RequestError::NoToken
                | RequestError::Missing(_)
                | RequestError::TooLong { .. }
                | RequestError::TooManyScopes(_)
                | RequestError::Scope(_),
            )
            | Self::SubjectToken
            // RFC 8628 §3.5, by RFC 6749 §5.2.
            | Self::Poll(_)
            | Self::NoDeviceLogins
            | Self::Address(_)
            | Self::Body(BodyReadError::Incomplete) => StatusCode::BAD_REQUEST,
            Self::TooMany(_) | Self::Busy(_) | Self::TooManyDeviceLogins(_) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Body(BodyReadError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyReadError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether it says that a login is refused.
    pub(crate) fn refuses_login(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
            || matches!(self, Self::SubjectToken | Self::Poll(_)) && !self.is_undecided()
    }

    /// Whether nothing is decided yet: a device asks again and again.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(
            self,
            Self::Poll(PollError::AuthorizationPending | PollError::SlowDown)
        )
    }

    /// The `error` code of RFC 6749 §5.2 (RFC 8628 §3.5, RFC 8693 §2.2.2, and RFC 6749 §4.1.2.1 for the
    /// last two).
    fn code(&self) -> &'static str {
        match self {
            Self::Request(RequestError::GrantType(_)) | Self::NoDeviceLogins => {
                "unsupported_grant_type"
            }
            Self::Poll(PollError::AuthorizationPending) => "authorization_pending",
            Self::Poll(PollError::SlowDown) => "slow_down",
            Self::Poll(PollError::AccessDenied | PollError::AccountGone) => "access_denied",
            Self::Poll(PollError::ExpiredToken) => "expired_token",
            Self::Poll(
                PollError::DeviceCode | PollError::OtherClient | PollError::OtherService,
            ) => "invalid_grant",
            Self::Request(RequestError::Encoding | RequestError::ControlCharacter)
            | Self::Credentials
            | Self::NoUserName
            | Self::RefreshToken
            | Self::OpaqueToken(_) => "invalid_grant",
            Self::Request(RequestError::Scope(_) | RequestError::TooManyScopes(_)) => {
                "invalid_scope"
            }
            Self::Request(RequestError::Authorization) | Self::NoCredentials => "invalid_client",
            Self::Request(RequestError::SeveralAudiences) => "invalid_target",
            Self::Request(
                RequestError::Escape
                | RequestError::ContentType(_)
                | RequestError::AccountMismatch { .. }
                | RequestError::NoRefreshToken
                | RequestError::NoSubjectToken
                | RequestError::SubjectTokenType(_)
                | RequestError::RequestedTokenType(_)
                | RequestError::ActorToken
                | RequestError::Missing(_)
                | RequestError::TooLong { .. }
                | RequestError::NoToken,
            )
            // RFC 8693 §2.2.2: an invalid subject token makes the request invalid.
            | Self::SubjectToken
            | Self::Address(_)
            | Self::Body(_) => "invalid_request",
            Self::TooMany(_)
            | Self::TooManyDeviceLogins(_)
            | Self::Busy(_)
            | Self::Unavailable(_) => "temporarily_unavailable",
            Self::Internal(_) => "server_error",
        }
    }

    /// This error as a response. `realm` is what a Basic challenge names (`docker_auth`: the issuer).
    pub(crate) fn to_http(&self, realm: &str) -> TokenServerResponse {
        let text = self.to_string();
        let code = match self.status() {
            StatusCode::UNAUTHORIZED => Some("UNAUTHORIZED"),
            StatusCode::TOO_MANY_REQUESTS => Some("TOOMANYREQUESTS"),
            _ => None,
        };
        let message = text.as_str();
        let body = ErrorBody {
            error: self.code(),
            error_description: message,
            details: message,
            errors: code.map(|code| [RegistryErrorBody { code, message }]),
        };
        let mut response = json(self.status(), to_json(&body));
        if self.status() == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, basic_challenge(realm));
        }
        if let Some(wait) = self.retry_after() {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds_rounded_up(wait)));
        }
        response
    }

    /// When another attempt may succeed.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany(wait) | Self::TooManyDeviceLogins(wait) | Self::Busy(wait) => Some(*wait),
            Self::Unavailable(_) => Some(identity::RETRY_AFTER),
            _ => None,
        }
    }
}

impl TokenResponse {
    /// The response's JSON. It has the token twice, also under OAuth 2.0's name, because some clients
    /// read one and some the other. A token (base64url and dots) needs no escaping, and a search for
    /// characters that do would cost more than all the rest.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let token = self.token.as_bytes();
        let mut json = Vec::with_capacity(2 * token.len() + 512);
        for part in [
            b"{\"token\":\"",
            token,
            b"\",\"access_token\":\"",
            token,
            b"\",",
        ] {
            json.extend_from_slice(part);
        }
        let rest = json.len();
        write_json(self, &mut json);
        // The brace that opens the rest.
        json.remove(rest);
        json
    }

    pub(crate) fn into_http(self) -> TokenServerResponse {
        json(StatusCode::OK, self.to_json())
    }
}

/// What a device gets when it begins a login (RFC 8628 §3.2).
#[derive(Serialize)]
pub(crate) struct DeviceAuthorizationBody<'a> {
    pub(crate) device_code: &'a str,
    pub(crate) user_code: &'a str,
    pub(crate) verification_uri: &'a str,
    pub(crate) verification_uri_complete: &'a str,
    pub(crate) expires_in: u64,
    pub(crate) interval: u64,
}

impl DeviceAuthorizationBody<'_> {
    pub(crate) fn to_http(&self) -> TokenServerResponse {
        json(StatusCode::OK, to_json(self))
    }
}

/// The public keys (RFC 7517 §5). Caches keep them for a minute, so a new key is known soon.
pub(crate) fn jwks(keys: &JwkSet) -> TokenServerResponse {
    let mut response = json(StatusCode::OK, to_json(keys));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/jwk-set+json"),
    );
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    response
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(256);
    write_json(body, &mut json);
    json
}

#[expect(
    clippy::expect_used,
    reason = "all bodies are structs of strings and numbers"
)]
fn write_json(body: &impl Serialize, json: &mut Vec<u8>) {
    serde_json::to_writer(json, body).expect("a body is plain data");
}

/// A body of JSON that no cache may keep (RFC 6749 §5.1).
fn json(status: StatusCode, body: Vec<u8>) -> TokenServerResponse {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response without a body (RFC 7009 §2.2: a client ignores it).
pub(crate) fn empty() -> TokenServerResponse {
    text(StatusCode::OK, "")
}

/// A short text.
pub(crate) fn text(status: StatusCode, body: &'static str) -> TokenServerResponse {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// 405 with the methods that would have worked (RFC 9110 §15.5.6).
pub(crate) fn method_not_allowed(allow: &'static str) -> TokenServerResponse {
    let mut response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed for this path\n",
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// `Basic realm="…"`, the realm as a quoted-string (RFC 7617 §2, RFC 9110 §5.6.4).
fn basic_challenge(realm: &str) -> HeaderValue {
    let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("Basic realm=\"{quoted}\""))
        // A realm with control characters cannot stand in a header.
        .unwrap_or(HeaderValue::from_static("Basic realm=\"wharfinger\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_quoted() {
        assert_eq!(
            basic_challenge("Acme \"auth\" \\o/"),
            r#"Basic realm="Acme \"auth\" \\o/""#
        );
        assert_eq!(basic_challenge("a\nb"), r#"Basic realm="wharfinger""#);
    }

    #[test]
    fn waits_are_rounded_up() {
        let error = ErrorResponse::TooMany(Duration::from_millis(2500));
        assert_eq!(error.to_http("r").headers()[RETRY_AFTER], "3");
        assert_eq!(
            error.to_string(),
            "too many failed logins: try again in 3 seconds"
        );
    }
}
