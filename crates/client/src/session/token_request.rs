//! Steps 3 and 4: asking a token server.
//!
//! Servers differ in what they take (Distribution, "Token Authentication Specification" and "OAuth2
//! Token Authentication"): all take GET, with a password as Basic; a refresh token goes by POST and
//! nowhere else; some take a password only by POST.

use std::time::Duration;

use common::Secret;
use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use token::UnverifiedToken;

use super::scopes::Scopes;
use crate::observer::ExchangeEvent;
use crate::transport::{HttpRequest, HttpResponse};
use crate::{Credentials, Error, Step, Transport};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1024 * 1024;
/// What a missing `expires_in` means (Distribution, "Token Authentication Specification").
const DEFAULT_LIFETIME: u64 = 60;
/// Who we say we are.
const CLIENT_ID: &str = "wharfinger";

/// Where tokens are to be had, and for which service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenEndpoint {
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// What a token server gave.
#[derive(Debug)]
pub struct TokenResponse {
    /// The token.
    pub token: Secret,
    /// How long it lives from now on.
    pub lifetime: Duration,
    /// A refresh token, where one was asked for and given.
    pub refresh_token: Option<Secret>,
}

impl TokenEndpoint {
    /// Asks for a token; `offline` asks for a refresh token, too.
    pub(crate) async fn ask(
        &self,
        transport: &Transport,
        credentials: &Credentials,
        scopes: &Scopes,
        offline: bool,
    ) -> Result<TokenResponse, Error> {
        let call = match credentials {
            Credentials::RefreshToken { token, .. } => self.post(
                scopes,
                offline,
                &[
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token.expose()),
                ],
            ),
            credentials => self.get(credentials, scopes, offline),
        };
        let mut answer = transport.fetch(&call).await?;
        let takes_no_get = matches!(
            answer.status(),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        if let (Credentials::Password { user, password }, true) = (credentials, takes_no_get) {
            let fields = [
                ("grant_type", "password"),
                ("username", user),
                ("password", password.expose()),
            ];
            answer = transport
                .fetch(&self.post(scopes, offline, &fields))
                .await?;
        }
        read(transport, credentials, scopes, answer).await
    }

    fn get(&self, credentials: &Credentials, scopes: &Scopes, offline: bool) -> HttpRequest {
        let mut url = self.realm.clone();
        let mut query = url.query_pairs_mut();
        if let Credentials::Password { user, .. } = credentials {
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
        let call = HttpRequest::get(url).authorization(basic(credentials).as_ref());
        call.step(Step::Token)
    }

    fn post(&self, scopes: &Scopes, offline: bool, grant: &[(&str, &str)]) -> HttpRequest {
        let scope = scopes.texts().join(" ");
        let access_type = if offline { "offline" } else { "online" };
        let mut fields = grant.to_vec();
        fields.extend([("client_id", CLIENT_ID), ("access_type", access_type)]);
        fields.extend(self.service.as_deref().map(|service| ("service", service)));
        // An empty scope is none (RFC 6749 §3.3 has no empty list).
        fields.extend(Some(("scope", scope.as_str())).filter(|(_, scope)| !scope.is_empty()));
        HttpRequest::new(Method::POST, self.realm.clone())
            .form(&fields)
            .step(Step::Token)
    }
}

/// `Basic …` for a password.
pub(crate) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let Credentials::Password { user, password } = credentials else {
        return None;
    };
    let pair = Secret::from(format!("{user}:{}", password.expose()));
    authorization("Basic", &BASE64.encode(pair.expose().as_bytes()))
}

/// A sensitive `Authorization` header; none where the secret holds what no header can.
pub(crate) fn authorization(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn read(
    transport: &Transport,
    credentials: &Credentials,
    scopes: &Scopes,
    mut answer: HttpResponse,
) -> Result<TokenResponse, Error> {
    #[derive(Deserialize)]
    struct Body {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
        refresh_token: Option<String>,
    }
    if !answer.status().is_success() {
        return Err(refused(credentials, answer).await);
    }
    let body: Body = answer.json(LONGEST).await?;
    let given = [body.token, body.access_token]
        .into_iter()
        .flatten()
        .find(|token| !token.is_empty());
    let Some(token) = given else {
        return Err(answer.malformed("its JSON has neither `token` nor `access_token`"));
    };
    let granted = TokenResponse {
        lifetime: Duration::from_secs(
            body.expires_in
                .filter(|&s| s > 0)
                .unwrap_or(DEFAULT_LIFETIME),
        ),
        refresh_token: body
            .refresh_token
            .filter(|token| !token.is_empty())
            .map(Secret::from),
        token: Secret::from(token),
    };
    transport.observe(&ExchangeEvent::Granted {
        asked: &scopes.texts().join(" "),
        token: UnverifiedToken::parse(granted.token.expose()).ok().as_ref(),
        lifetime: granted.lifetime,
        refresh_token: granted.refresh_token.is_some(),
    });
    Ok(granted)
}

/// Who is at fault when there is no token: 401 is the login, and so is RFC 6749's `invalid_grant`.
async fn refused(credentials: &Credentials, answer: HttpResponse) -> Error {
    let refusal = Box::new(answer.error_response().await);
    let login = refusal.status == StatusCode::UNAUTHORIZED || refusal.has("invalid_grant");
    match credentials {
        Credentials::Anonymous if login => Error::Denied {
            step: Step::Token,
            logged_in: false,
            source: refusal,
        },
        _ if login => {
            let account = match credentials {
                Credentials::Password { user, .. } => Some(user.clone()),
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
        _ => Error::ErrorResponse {
            step: Step::Token,
            source: refusal,
        },
    }
}

/// Whether a call carries papers.
pub(super) fn is_authorized(call: &HttpRequest) -> bool {
    call.headers.contains_key(AUTHORIZATION)
}
