//! The services that vouch for users: OpenID Connect, GitHub, GitLab, Google.

mod github;
mod gitlab;
mod id_token;
mod label_claims;
mod oidc;
mod user_api;

use std::error::Error;
use std::time::Duration;

use common::{BoxFuture, Secret};
use http::StatusCode;
use openid::{ProviderRequestError, ProviderResponse};
use policy::Labels;
use serde::Deserialize;

pub use self::github::{GithubProvider, GithubSettings};
pub use self::gitlab::{GitlabProvider, GitlabSettings};
pub use self::id_token::IdTokenError;
pub use self::oidc::{OidcProvider, OidcSettings};

/// A service that signs users in and says later whether they are still there (RFC 6749).
pub trait IdentityProvider: Send + Sync {
    /// The address to which the browser goes.
    ///
    /// # Errors
    /// When the provider cannot be reached.
    fn authorization_url<'a>(
        &'a self,
        parameters: &'a AuthorizationParameters,
    ) -> BoxFuture<'a, Result<String, ProviderError>>;

    /// Tokens for a grant.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] when the provider no longer takes the grant.
    fn request_tokens<'a>(
        &'a self,
        grant: TokenGrant<'a>,
    ) -> BoxFuture<'a, Result<ProviderTokens, ProviderError>>;

    /// The user that `tokens` stand for, and whether the user may sign in.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] when the user may not.
    fn identify<'a>(
        &'a self,
        tokens: &'a ProviderTokens,
        expected: ExpectedUser<'a>,
    ) -> BoxFuture<'a, Result<ProviderUser, ProviderError>>;
}

/// What the authorization request says, besides who asks (RFC 6749 §4.1.1, RFC 7636 §4.3).
#[derive(Clone, Debug)]
pub struct AuthorizationParameters {
    /// `state`.
    pub state: String,
    /// `nonce` (OpenID Connect Core §3.1.2.1).
    pub nonce: String,
    /// `code_challenge`, by the method S256.
    pub code_challenge: String,
    /// The page's address, as the browser reached it. The provider sends the browser there if the
    /// settings do not say where.
    pub page: String,
}

/// What tokens are asked for with.
#[derive(Clone, Copy, Debug)]
pub enum TokenGrant<'a> {
    /// The code that the browser brought, and the verifier of its challenge.
    AuthorizationCode {
        /// `code`.
        code: &'a Secret,
        /// `code_verifier` (RFC 7636 §4.5).
        verifier: &'a Secret,
        /// The address of [`AuthorizationParameters::page`].
        page: &'a str,
    },
    /// An earlier refresh token.
    RefreshToken(&'a Secret),
}

/// What a provider gives for a grant. An absent member is empty.
#[derive(Clone, Debug)]
pub struct ProviderTokens {
    /// `token_type`.
    pub token_type: String,
    /// `access_token`.
    pub access_token: Secret,
    /// `refresh_token`.
    pub refresh_token: Secret,
    /// `id_token`. It is used once and not kept.
    pub id_token: Secret,
    /// How long the access token is good.
    pub expires_in: Option<Duration>,
}

/// What is known of a user who is to be identified.
#[derive(Clone, Copy, Debug)]
pub enum ExpectedUser<'a> {
    /// A browser signs in. The ID token must have this nonce.
    SignIn {
        /// The `nonce` of the authorization request.
        nonce: &'a str,
    },
    /// A user who signed in earlier.
    Known {
        /// The user's name.
        name: &'a str,
        /// The user's `sub`; empty if it is not known.
        subject: &'a str,
    },
}

/// A user for whom a provider vouches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderUser {
    /// The account's name.
    pub name: String,
    /// Who issues `subject`.
    pub issuer: String,
    /// The user's own id at the provider, which outlives a change of the name. Empty if it has none.
    pub subject: String,
    /// The labels; `None` if they could not be fetched and the earlier ones may count once more.
    pub labels: Option<Labels>,
}

/// Why a provider does not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached, has a failure of its own, or limits requests. It may answer later.
    #[error("{what}")]
    Unavailable {
        /// What was asked and what came.
        what: String,
        /// The cause, if there was no answer.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// It answers something that makes no sense, or refuses this server. The operator must act.
    #[error("{0}")]
    Broken(String),
    /// It does not vouch for the user.
    #[error(transparent)]
    Refused(#[from] SignInRefusal),
}

/// Why a user is not signed in. The words are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// The code was used, is too old, or is not for this browser.
    #[error(
        "the provider did not accept the code of this sign-in, which is good once and for a short time"
    )]
    Code,
    /// The provider no longer takes the stored tokens.
    #[error("the provider no longer accepts the tokens of this sign-in")]
    Revoked,
    /// There is no refresh token, and the access token is too old.
    #[error("the sign-in is too old, and the provider gave no refresh token")]
    NoRefreshToken,
    /// The user is not in the organization or group.
    #[error("the account {name} is not a member of {organization}")]
    NotAMember {
        /// The user.
        name: String,
        /// The organization or group.
        organization: String,
    },
    /// The user's address is in another domain.
    #[error("the account {name} is not in the domain {domain}")]
    OtherDomain {
        /// The user.
        name: String,
        /// The domain that is wanted.
        domain: String,
    },
    /// The user has another name now.
    #[error("the account is called {0} now")]
    Renamed(String),
    /// Another person has the name now.
    #[error("the name {0} belonged to another person: the operator must remove that sign-in first")]
    OtherPerson(String),
    /// The provider has not verified the address.
    #[error("the provider has not verified the e-mail address {0}")]
    EmailNotVerified(String),
    /// The provider tells no name.
    #[error("the provider did not tell the claim {0}, which names the account")]
    NoName(String),
    /// The name could be mistaken for another.
    #[error("the account's name has characters that are not allowed")]
    Name,
    /// The ID token is not valid.
    #[error("the ID token is not valid: {0}")]
    IdToken(#[from] IdTokenError),
}

impl From<ProviderRequestError> for ProviderError {
    fn from(error: ProviderRequestError) -> Self {
        match error {
            ProviderRequestError::Unavailable { what, source } => {
                Self::Unavailable { what, source }
            }
            ProviderRequestError::Broken(what) => Self::Broken(what),
        }
    }
}

impl ProviderError {
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }
}

/// The response of a token endpoint (RFC 6749 §5.1). Times come as numbers or as texts.
#[derive(Deserialize)]
struct TokenEndpointResponse {
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    id_token: Option<String>,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
    /// GitHub sends errors with status 200.
    #[serde(default)]
    error: Option<String>,
}

impl ProviderTokens {
    /// Reads the response of a token endpoint, where `grant` was presented.
    fn of_response(
        response: &ProviderResponse,
        grant: TokenGrant<'_>,
    ) -> Result<Self, ProviderError> {
        let parsed: Option<TokenEndpointResponse> = serde_json::from_slice(&response.body).ok();
        let error = parsed.as_ref().and_then(|parsed| parsed.error.as_deref());
        match error {
            // RFC 6749 §5.2; the last two are GitHub's.
            Some("invalid_grant" | "bad_verification_code" | "bad_refresh_token") => {
                return Err(ProviderError::Refused(match grant {
                    TokenGrant::AuthorizationCode { .. } => SignInRefusal::Code,
                    TokenGrant::RefreshToken(_) => SignInRefusal::Revoked,
                }));
            }
            Some("temporarily_unavailable" | "server_error" | "slow_down") => {
                return Err(response.unavailable().into());
            }
            Some(code) if is_error_code(code) => {
                return Err(ProviderError::broken(format!(
                    "the token endpoint refuses this server: {code}"
                )));
            }
            Some(_) => {
                return Err(ProviderError::broken(
                    "the token endpoint refuses this server",
                ));
            }
            None => {}
        }
        if response.status != StatusCode::OK {
            return Err(response.unexpected().into());
        }
        let parsed = parsed.ok_or_else(|| response.not_json())?;
        let access_token = parsed.access_token.unwrap_or_default();
        if access_token.is_empty() {
            return Err(ProviderError::broken(
                "the token endpoint sent no access_token",
            ));
        }
        let seconds = parsed.expires_in.as_ref().and_then(|value| match value {
            serde_json::Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        });
        let previous = match grant {
            // A provider that does not rotate sends none, and the old one stays good (§6).
            TokenGrant::RefreshToken(token) => token.expose(),
            TokenGrant::AuthorizationCode { .. } => "",
        };
        let rotated = parsed.refresh_token.filter(|token| !token.is_empty());
        Ok(Self {
            token_type: parsed.token_type.unwrap_or_default(),
            access_token: access_token.into(),
            refresh_token: rotated.unwrap_or_else(|| previous.to_owned()).into(),
            id_token: parsed.id_token.unwrap_or_default().into(),
            expires_in: seconds.map(Duration::from_secs),
        })
    }
}

/// Whether `code` has the form of an error code (RFC 6749 §5.2), so that it may stand in the log.
fn is_error_code(code: &str) -> bool {
    code.len() <= 64
        && code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `base` with `parameters` behind the query that it may have already.
fn with_query(base: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    let separator = match base.find('?') {
        None => "?",
        Some(at) if at + 1 == base.len() => "",
        Some(_) => "&",
    };
    format!("{base}{separator}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_added_to_the_one_that_is_there() {
        let parameters = [("a", "x y"), ("b", "ü&")];
        for (base, expected) in [
            ("https://a/b", "https://a/b?a=x+y&b=%C3%BC%26"),
            ("https://a/b?", "https://a/b?a=x+y&b=%C3%BC%26"),
            ("https://a/b?p=1", "https://a/b?p=1&a=x+y&b=%C3%BC%26"),
        ] {
            assert_eq!(with_query(base, &parameters), expected);
        }
    }
}
