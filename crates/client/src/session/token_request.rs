//! Requesting a token: the two [steps](crate::Step) that go to the token server.
//!
//! Token servers differ (Distribution, "Token Authentication Specification" and "OAuth2 Token
//! Authentication"). All accept GET, with a password as Basic. A refresh token is sent only by POST.
//! Some servers accept a password only by POST.

use std::time::Duration;

use common::Secret;
use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Map, Value};
use token::UnverifiedToken;

use super::scopes::Scopes;
use crate::observer::ExchangeEvent;
use crate::transport::{ClientRequest, ClientResponse};
use crate::{Error, LoginCredentials, Step, Transport, json};

/// The largest response that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// The lifetime in seconds that a missing `expires_in` means (Distribution, "Token Authentication Specification").
const DEFAULT_LIFETIME: u64 = 60;
/// The `client_id` of this client.
pub(super) const CLIENT_ID: &str = "wharfinger";

/// The token server of a registry, and the registry's name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRealm {
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// A token server's response (RFC 6749 §5.1).
#[derive(Debug)]
pub struct IssuedToken {
    /// The access token.
    pub token: Secret,
    /// How long it is valid from now on.
    pub lifetime: Duration,
    /// A refresh token, if one was requested and issued.
    pub refresh_token: Option<Secret>,
}

impl IssuedToken {
    /// The account that the token names, if it is a JWT that names one.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        let token = UnverifiedToken::parse(self.token.expose()).ok()?;
        let account = token.claims().ok()?.subject;
        (!account.is_empty()).then_some(account)
    }
}

impl TokenRealm {
    /// Requests a token; with `offline`, a refresh token, too.
    pub(crate) async fn ask(
        &self,
        transport: &Transport,
        credentials: &LoginCredentials,
        scopes: &Scopes,
        offline: bool,
    ) -> Result<IssuedToken, Error> {
        let request = match credentials {
            LoginCredentials::RefreshToken { token, .. } => self.post(
                scopes,
                offline,
                &[
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token.expose()),
                ],
            ),
            credentials => self.get(credentials, scopes, offline),
        };
        let mut response = transport.fetch(&request).await?;
        let lacks_get = matches!(
            response.status(),
            StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED
        );
        if let (LoginCredentials::Password { user, password }, true) = (credentials, lacks_get) {
            let fields = [
                ("grant_type", "password"),
                ("username", user),
                ("password", password.expose()),
            ];
            response = transport
                .fetch(&self.post(scopes, offline, &fields))
                .await?;
        }
        read(transport, credentials, scopes, response).await
    }

    /// Has the server revoke a refresh token (RFC 7009); `false` when it has no endpoint for that.
    pub(crate) async fn revoke(
        &self,
        transport: &Transport,
        token: &Secret,
    ) -> Result<bool, Error> {
        let request = ClientRequest::new(Method::POST, self.beside("revoke"))
            .form(&[
                ("token", token.expose()),
                ("token_type_hint", "refresh_token"),
                ("client_id", CLIENT_ID),
            ])
            .step(Step::Token);
        let mut response = transport.fetch(&request).await?;
        let status = response.status();
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            return response.success().await.map(|_| false);
        }
        // A revocation has an empty response (RFC 7009 §2.2). Anything else is a page for people, or
        // a token.
        Ok(status == StatusCode::OK && response.bytes(1).await.is_ok_and(|body| body.is_empty()))
    }

    /// The URL of another endpoint of the same server: the realm's path with `name` behind it.
    pub(super) fn beside(&self, name: &str) -> Url {
        let mut url = self.realm.clone();
        let path = format!("{}/{name}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(None);
        url
    }

    fn get(&self, credentials: &LoginCredentials, scopes: &Scopes, offline: bool) -> ClientRequest {
        let mut url = self.realm.clone();
        let mut query = url.query_pairs_mut();
        if let LoginCredentials::Password { user, .. } = credentials {
            query.append_pair("account", user);
        }
        query.append_pair("client_id", CLIENT_ID);
        if offline {
            query.append_pair("offline_token", "true");
        }
        if let Some(service) = &self.service {
            query.append_pair("service", service);
        }
        for scope in scopes.texts() {
            query.append_pair("scope", &scope);
        }
        drop(query);
        let request = ClientRequest::get(url).authorization(basic(credentials).as_ref());
        request.step(Step::Token)
    }

    fn post(&self, scopes: &Scopes, offline: bool, grant: &[(&str, &str)]) -> ClientRequest {
        let scope = scopes.texts().join(" ");
        let access_type = if offline { "offline" } else { "online" };
        let mut fields = grant.to_vec();
        fields.extend([("client_id", CLIENT_ID), ("access_type", access_type)]);
        fields.extend(self.service.as_deref().map(|service| ("service", service)));
        // RFC 6749 §3.3 has no empty list.
        fields.extend(Some(("scope", scope.as_str())).filter(|(_, scope)| !scope.is_empty()));
        ClientRequest::new(Method::POST, self.realm.clone())
            .form(&fields)
            .step(Step::Token)
    }
}

/// `Basic …` for a password.
pub(crate) fn basic(credentials: &LoginCredentials) -> Option<HeaderValue> {
    let LoginCredentials::Password { user, password } = credentials else {
        return None;
    };
    let pair = Secret::from(format!("{user}:{}", password.expose()));
    authorization_header("Basic", &BASE64.encode(pair.expose().as_bytes()))
}

/// A sensitive `Authorization` header; `None` if a header cannot hold the secret.
pub(crate) fn authorization_header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn read(
    transport: &Transport,
    credentials: &LoginCredentials,
    scopes: &Scopes,
    mut response: ClientResponse,
) -> Result<IssuedToken, Error> {
    if !response.status().is_success() {
        return Err(refused(credentials, response).await);
    }
    issued(transport, scopes, &mut response).await
}

/// The token of a successful response.
pub(super) async fn issued(
    transport: &Transport,
    scopes: &Scopes,
    response: &mut ClientResponse,
) -> Result<IssuedToken, Error> {
    let body: Map<String, Value> = response.json(MAX_RESPONSE_BYTES).await?;
    let token = json::text(&body, "token").or_else(|| json::text(&body, "access_token"));
    let Some(token) = token else {
        return Err(response.malformed("its JSON has neither `token` nor `access_token`"));
    };
    let lifetime = json::seconds(&body, "expires_in").filter(|&seconds| seconds > 0);
    let granted = IssuedToken {
        token: Secret::from(token.to_owned()),
        lifetime: Duration::from_secs(lifetime.unwrap_or(DEFAULT_LIFETIME)),
        refresh_token: json::text(&body, "refresh_token").map(|t| Secret::from(t.to_owned())),
    };
    transport.observe(&ExchangeEvent::Granted {
        asked: &scopes.texts().join(" "),
        token: UnverifiedToken::parse(granted.token.expose()).ok().as_ref(),
        lifetime: granted.lifetime,
        refresh_token: granted.refresh_token.is_some(),
    });
    Ok(granted)
}

/// The error when there is no token: 401 and RFC 6749's `invalid_grant` mean a failed login.
async fn refused(credentials: &LoginCredentials, response: ClientResponse) -> Error {
    let refusal = Box::new(response.error_response().await);
    let login = refusal.status == StatusCode::UNAUTHORIZED || refusal.has("invalid_grant");
    match credentials {
        LoginCredentials::Anonymous if login => Error::Denied {
            step: Step::Token,
            logged_in: false,
            source: refusal,
        },
        _ if login => {
            let account = match credentials {
                LoginCredentials::Password { user, .. } => Some(user.clone()),
                _ => None,
            };
            Error::LoginFailed {
                step: Step::Token,
                account,
                source: refusal,
            }
        }
        _ if refusal.status == StatusCode::FORBIDDEN => Error::Denied {
            step: Step::Token,
            logged_in: !credentials.is_anonymous(),
            source: refusal,
        },
        _ => Error::HttpErrorResponse {
            step: Step::Token,
            source: refusal,
        },
    }
}

/// Whether a request has an `Authorization` header.
pub(super) fn is_authorized(request: &ClientRequest) -> bool {
    request.headers.contains_key(AUTHORIZATION)
}
