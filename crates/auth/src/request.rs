//! What a client asks of the token endpoint, parsed once at the edge.

use common::{BasicCredentials, BasicError, Secret};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use identity::{Credentials, Proof, TOKEN_USER, is_unambiguous_name};
use token::{Scope, ScopeError};

use crate::parameters::{MalformedEscape, NotUtf8, Parameters, ParametersError};
use crate::sessions::is_refresh_token;

/// How many scopes one request may name. Clients name three at most (a push with a mount).
pub const MAX_SCOPES: usize = 100;

/// The grant of RFC 8693 §2.1.
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The grant of RFC 8628 §3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a subject token may be called (RFC 8693 §3): a token of another issuer is one or both.
const SUBJECT_TOKEN_TYPES: [&str; 2] = [
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
];

/// What an access token of this server is called (RFC 8693 §3).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A request for a token, in whichever form: GET with Basic, a form, or an OAuth 2.0 grant.
#[derive(Debug)]
pub(crate) struct TokenRequest {
    /// How the client gets its account.
    pub(crate) grant: Grant,
    /// The registry that the token is for; may be empty.
    pub(crate) service: String,
    /// What the client wants to do there; empty for a login.
    pub(crate) scopes: Vec<Scope>,
    /// Whether the client asks for a refresh token.
    pub(crate) offline: bool,
    /// What the client calls itself, for the log.
    pub(crate) client_id: String,
}

/// What a client offers for a token (RFC 6749 §1.3, authorization grant).
#[derive(Debug)]
pub(crate) enum Grant {
    /// A proof of its account, which a backend verifies; or nothing, for an anonymous token.
    Login(Proof),
    /// A token of another issuer, in exchange for one of this server (RFC 8693).
    TokenExchange(Secret),
    /// A refresh token of this server.
    RefreshToken {
        token: Secret,
        /// The account that the request names; empty if it names no account. The session must belong
        /// to it.
        account: String,
    },
    /// A code with which a device asks whether a person has approved its login (RFC 8628).
    DeviceCode(Secret),
}

/// Why a request cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("a parameter has a '%' that two hexadecimal digits do not follow")]
    Escape,
    #[error("the body's Content-Type is {0:?}: send application/x-www-form-urlencoded")]
    ContentType(String),
    #[error("the Authorization header does not have valid Basic credentials (RFC 7617)")]
    Authorization,
    #[error("the password is not in UTF-8")]
    Encoding,
    #[error("user and account are not the same ({user:?} and {account:?})")]
    AccountMismatch { user: String, account: String },
    #[error(
        "the grant type {0:?} is not supported: send password, refresh_token, {TOKEN_EXCHANGE} or \
         {DEVICE_CODE}"
    )]
    GrantType(String),
    #[error("grant_type=refresh_token comes without a refresh_token")]
    NoRefreshToken,
    #[error("a token exchange needs a subject_token")]
    NoSubjectToken,
    #[error("the subject_token_type {:?} is not supported: send {}", .0, SUBJECT_TOKEN_TYPES.join(" or "))]
    SubjectTokenType(String),
    #[error("the requested_token_type {0:?} is not supported: send {ACCESS_TOKEN_TYPE} or none")]
    RequestedTokenType(String),
    #[error("an actor_token is not supported: no account acts for another")]
    ActorToken,
    #[error("a token is for one service: send one audience")]
    SeveralAudiences,
    #[error("the parameter token is missing")]
    NoToken,
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    #[error("the parameter {name} has more than {most} bytes")]
    TooLong { name: &'static str, most: usize },
    #[error("the account name holds a control character")]
    ControlCharacter,
    #[error("{0} scopes were asked for at once: at most {MAX_SCOPES} can be")]
    TooManyScopes(usize),
    #[error(transparent)]
    Scope(#[from] ScopeError),
}

impl From<ParametersError> for RequestError {
    fn from(error: ParametersError) -> Self {
        match error {
            ParametersError::Escape(MalformedEscape) => Self::Escape,
            ParametersError::ContentType(content_type) => Self::ContentType(content_type),
        }
    }
}

impl From<NotUtf8> for RequestError {
    fn from(NotUtf8: NotUtf8) -> Self {
        Self::Encoding
    }
}

impl From<BasicError> for RequestError {
    fn from(error: BasicError) -> Self {
        match error {
            BasicError::Malformed => Self::Authorization,
            BasicError::Encoding => Self::Encoding,
        }
    }
}

impl TokenRequest {
    /// Reads a request; `query` and `body` are as they came over the wire. `is_issued` tells personal
    /// tokens and robots' tokens from other secrets.
    pub(crate) fn parse(
        method: &Method,
        headers: &HeaderMap,
        query: &str,
        body: &[u8],
        is_issued: IsOpaqueToken<'_>,
    ) -> Result<Self, RequestError> {
        let parameters = Parameters::of_form(headers, query, body)?;
        let scopes = scopes(&parameters)?;
        let is_post = method == Method::POST;
        let grant = match parameters.text("grant_type").as_ref() {
            "refresh_token" if is_post => refresh_token(&parameters, is_issued)?,
            TOKEN_EXCHANGE if is_post => token_exchange(&parameters)?,
            DEVICE_CODE if is_post => device_code(&parameters)?,
            "" | "password" => name_and_secret(headers, &parameters, is_post, is_issued)?,
            _ if !is_post => name_and_secret(headers, &parameters, is_post, is_issued)?,
            other => return Err(RequestError::GrantType(other.to_owned())),
        };
        let service = match &grant {
            Grant::TokenExchange(_) => target_service(&parameters)?,
            Grant::Login(_) | Grant::RefreshToken { .. } | Grant::DeviceCode(_) => {
                parameters.text("service").into_owned()
            }
        };
        Ok(Self {
            grant,
            service,
            scopes,
            offline: parameters.bytes("offline_token") == b"true"
                || parameters.bytes("access_type") == b"offline",
            client_id: parameters.text("client_id").into_owned(),
        })
    }
}

/// Whether a secret has the form of a personal token or a robot's token.
pub(crate) type IsOpaqueToken<'a> = &'a dyn Fn(&Secret) -> bool;

/// The refresh token of a form. containerd sends any password without a user name as one.
fn refresh_token(
    parameters: &Parameters<'_>,
    is_issued: IsOpaqueToken<'_>,
) -> Result<Grant, RequestError> {
    let token = parameters.secret("refresh_token")?;
    if token.is_empty() {
        return Err(RequestError::NoRefreshToken);
    }
    if is_issued(&token) {
        return Ok(Grant::Login(Proof::BearerToken(token)));
    }
    Ok(Grant::RefreshToken {
        token,
        account: String::new(),
    })
}

/// A token exchange (RFC 8693 §2.1). Who sends it needs no login of its own: the subject token is the
/// proof.
fn token_exchange(parameters: &Parameters<'_>) -> Result<Grant, RequestError> {
    let token = parameters.secret("subject_token")?;
    if token.is_empty() {
        return Err(RequestError::NoSubjectToken);
    }
    let kind = parameters.text("subject_token_type");
    if !SUBJECT_TOKEN_TYPES.contains(&kind.as_ref()) {
        return Err(RequestError::SubjectTokenType(kind.into_owned()));
    }
    let requested = parameters.text("requested_token_type");
    if !matches!(requested.as_ref(), "" | ACCESS_TOKEN_TYPE) {
        return Err(RequestError::RequestedTokenType(requested.into_owned()));
    }
    if !parameters.bytes("actor_token").is_empty() {
        return Err(RequestError::ActorToken);
    }
    Ok(Grant::TokenExchange(token))
}

/// A poll of a device (RFC 8628 §3.4).
fn device_code(parameters: &Parameters<'_>) -> Result<Grant, RequestError> {
    let code = parameters.secret("device_code")?;
    if code.is_empty() {
        return Err(RequestError::Missing("device_code"));
    }
    if parameters.bytes("client_id").is_empty() {
        return Err(RequestError::Missing("client_id"));
    }
    Ok(Grant::DeviceCode(code))
}

/// The service of a token exchange: `service`, as for every other grant, or RFC 8693's `audience`.
fn target_service(parameters: &Parameters<'_>) -> Result<String, RequestError> {
    let service = parameters.text("service");
    let mut audiences = parameters.values("audience");
    let audience = audiences.next().unwrap_or_default();
    if service.is_empty() && audiences.any(|other| other != audience) {
        return Err(RequestError::SeveralAudiences);
    }
    Ok(match service.is_empty() {
        true => String::from_utf8_lossy(audience).into_owned(),
        false => service.into_owned(),
    })
}

/// The account and password of a request, as `docker_auth` finds them: Basic first, else a form's
/// `username` and `password` if neither is empty. `account` names the account to authenticate and
/// must agree with Basic.
///
/// A token may come as the password, too: a refresh token, a personal token or a robot's. BuildKit
/// sends it without a user name, and other clients send the name `<token>` or the account's own. The
/// tokens that need no session may also come in a Bearer header.
fn name_and_secret(
    headers: &HeaderMap,
    parameters: &Parameters<'_>,
    is_post: bool,
    is_issued: IsOpaqueToken<'_>,
) -> Result<Grant, RequestError> {
    let basic = basic(headers)?;
    let has_basic = basic.is_some();
    let (user, password) = match (basic, bearer(headers).filter(is_issued)) {
        (Some(BasicCredentials { user, password }), _) => (user, password),
        (None, Some(token)) => (String::new(), token),
        (None, None) if is_post => form(parameters, is_issued)?,
        (None, None) => (String::new(), Secret::from("")),
    };
    let (is_refresh, is_issued) = (is_refresh_token(&password), is_issued(&password));
    let is_token = is_refresh || is_issued;
    let without_token_user = |name: String| match is_token && name == TOKEN_USER {
        true => String::new(),
        false => name,
    };
    let user = without_token_user(user);
    let account = without_token_user(parameters.text("account").into_owned());
    let names_differ = user != account && !account.is_empty();
    if names_differ && has_basic && !(is_token && user.is_empty()) {
        return Err(RequestError::AccountMismatch { user, account });
    }
    let account = if account.is_empty() { user } else { account };
    // RFC 7617 §2: no control characters. A program or a log might read another name.
    if !is_unambiguous_name(&account) {
        return Err(RequestError::ControlCharacter);
    }
    if is_refresh {
        return Ok(Grant::RefreshToken {
            token: password,
            account,
        });
    }
    if is_issued && account.is_empty() {
        return Ok(Grant::Login(Proof::BearerToken(password)));
    }
    Ok(Grant::Login(Proof::Password(Credentials {
        account,
        password,
    })))
}

/// A form's `username` and `password`; neither if either is empty, unless the password is a token.
fn form(
    parameters: &Parameters<'_>,
    is_issued: IsOpaqueToken<'_>,
) -> Result<(String, Secret), RequestError> {
    let (user, password) = (parameters.text("username"), parameters.secret("password")?);
    let is_incomplete = user.is_empty() || password.is_empty();
    if is_incomplete && !is_issued(&password) {
        return Ok((String::new(), Secret::from("")));
    }
    Ok((user.into_owned(), password))
}

/// The credentials of a Basic header, of which the first line counts. A client that sends some
/// which cannot be read must not go on as anonymous.
fn basic(headers: &HeaderMap) -> Result<Option<BasicCredentials>, RequestError> {
    match headers.get(AUTHORIZATION) {
        Some(value) => Ok(BasicCredentials::parse(value.as_bytes())?),
        None => Ok(None),
    }
}

/// The token of a Bearer header, of which the first line counts (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Secret::from(token.trim_ascii()))
}

/// The scopes of every `scope` parameter, repeated or joined by spaces.
///
/// An empty first parameter means no scope. Another empty one, and so a double space, is malformed,
/// as in `docker_auth`.
fn scopes(parameters: &Parameters<'_>) -> Result<Vec<Scope>, RequestError> {
    if parameters.bytes("scope").is_empty() {
        return Ok(Vec::new());
    }
    let texts = || {
        parameters
            .values("scope")
            .flat_map(|value| value.split(|&b| b == b' '))
    };
    let count = texts().count();
    if count > MAX_SCOPES {
        return Err(RequestError::TooManyScopes(count));
    }
    texts()
        .map(|text| Ok(String::from_utf8_lossy(text).parse()?))
        .collect()
}

#[cfg(test)]
mod tests;
