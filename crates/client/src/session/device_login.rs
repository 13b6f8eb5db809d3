//! Logging in by a page in a browser: device authorization (RFC 8628).
//!
//! The token server gives a code. A person opens the server's page on any machine, signs in there and
//! approves the code. Meanwhile this client polls. It never sees a password.

use std::time::{Duration, SystemTime};

use common::Secret;
use reqwest::{Method, StatusCode, Url};
use serde_json::{Map, Value};

use super::token_request::{CLIENT_ID, IssuedToken, issued};
use super::{AuthScheme, RegistrySession, Scopes, TokenRealm, authorization_header, is_denied};
use crate::http_error_response::origin;
use crate::transport::{ClientRequest, ClientResponse};
use crate::{DeviceLoginEnd, Error, HttpErrorResponse, LoginCredentials, Step, json};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The largest response that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// The interval in seconds if the server gives none (RFC 8628 §3.2).
const DEFAULT_INTERVAL: u64 = 5;
/// The longest interval in seconds that a server may ask for.
const LONGEST_INTERVAL: u64 = 60;
/// The longest time in seconds that a server may let us wait.
const LONGEST_LIFE: u64 = 3600;
/// By how much `slow_down` lengthens the interval (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// A login that waits for a person to approve it.
#[derive(Debug)]
pub struct DeviceLogin {
    /// Where the person enters the code.
    pub verification_uri: String,
    /// The same address with the code in it, if the server gives one.
    pub verification_uri_complete: Option<String>,
    /// What the person compares.
    pub user_code: String,
    /// How long the person has time.
    pub lifetime: Duration,
    device_code: Secret,
    interval: Duration,
    ends_at: SystemTime,
    realm: TokenRealm,
}

/// What the server says to a poll.
enum PollOutcome {
    Issued(IssuedToken),
    Pending,
    SlowDown,
    /// Nothing came, or an error that may pass. The server may have said how long to wait.
    Failed(Box<Error>),
}

impl RegistrySession {
    /// Begins a login that a person approves in a browser. The server's page shows `device_name`.
    ///
    /// # Errors
    /// When the registry takes no tokens, or its token server has no such logins.
    pub async fn begin_device_login(&self, device_name: &str) -> Result<DeviceLogin, Error> {
        let realm = self.device_realm().await?;
        let mut fields = vec![("client_id", CLIENT_ID)];
        let service = realm.service.as_deref();
        fields.extend(service.map(|service| ("service", service)));
        fields.extend(Some(("device_name", device_name)).filter(|(_, name)| !name.is_empty()));
        let request = ClientRequest::new(Method::POST, realm.beside("device"))
            .form(&fields)
            .step(Step::Token);
        let mut response = self.transport.fetch(&request).await?;
        if !response.status().is_success() {
            return Err(refused(&realm, response).await);
        }
        let body: Map<String, Value> = match response.json(MAX_RESPONSE_BYTES).await {
            Ok(body) => body,
            // A page for people: the address means something else there.
            Err(Error::Malformed { .. }) => return Err(unsupported(&realm, None)),
            Err(error) => return Err(error),
        };
        let now = self.transport.options().clock.now();
        read(&response, &body, realm, now)
    }

    /// Polls until the person has decided. The token is tried at the registry.
    ///
    /// # Errors
    /// [`Error::DeviceLogin`] if the person denies or does not come in time; others if the token
    /// server fails or the registry rejects the token.
    pub async fn finish_device_login(&self, login: &DeviceLogin) -> Result<IssuedToken, Error> {
        let issued = self.poll_until_decided(login).await?;
        let authorization = authorization_header("Bearer", issued.token.expose());
        let request = ClientRequest::get(self.base.clone()).authorization(authorization.as_ref());
        let response = self.transport.fetch(&request).await?;
        match is_denied(response.status()) {
            true => Err(response.failure(true).await),
            false => response.success().await.map(|_| issued),
        }
    }

    async fn poll_until_decided(&self, login: &DeviceLogin) -> Result<IssuedToken, Error> {
        let clock = &self.transport.options().clock;
        let mut interval = login.interval;
        let mut wait = interval;
        let mut reason = "the person has not decided yet".to_owned();
        loop {
            let left = login.ends_at.duration_since(clock.now());
            let Some(left) = left.ok().filter(|left| !left.is_zero()) else {
                return Err(self.ended(DeviceLoginEnd::Expired));
            };
            self.transport.pause(wait.min(left), &reason).await;
            match self.poll(login).await? {
                PollOutcome::Issued(issued) => return Ok(issued),
                PollOutcome::Pending => {
                    wait = interval;
                    "the person has not decided yet".clone_into(&mut reason);
                }
                PollOutcome::SlowDown => {
                    interval += SLOWER;
                    wait = interval;
                    "the server asks to slow down".clone_into(&mut reason);
                }
                // RFC 8628 §3.5: wait longer and longer.
                PollOutcome::Failed(error) => {
                    let doubled = wait.max(interval).saturating_mul(2);
                    wait = error.retry_after().unwrap_or(doubled);
                    wait = wait.clamp(interval, Duration::from_secs(LONGEST_INTERVAL));
                    reason = error.to_string();
                }
            }
        }
    }

    async fn poll(&self, login: &DeviceLogin) -> Result<PollOutcome, Error> {
        let mut fields = vec![
            ("grant_type", GRANT_TYPE),
            ("device_code", login.device_code.expose()),
            ("client_id", CLIENT_ID),
        ];
        let service = login.realm.service.as_deref();
        fields.extend(service.map(|service| ("service", service)));
        let request = ClientRequest::new(Method::POST, login.realm.realm.clone())
            .form(&fields)
            .step(Step::Token)
            .once();
        let mut response = match self.transport.fetch(&request).await {
            Ok(response) => response,
            Err(error) if error.is_transient() => return Ok(PollOutcome::Failed(Box::new(error))),
            Err(error) => return Err(error),
        };
        if response.status().is_success() {
            return match issued(&self.transport, &Scopes::default(), &mut response).await {
                Ok(issued) if issued.refresh_token.is_some() => Ok(PollOutcome::Issued(issued)),
                Ok(_) => Err(response.malformed("its JSON has no refresh_token to store")),
                Err(error) if error.is_transient() => Ok(PollOutcome::Failed(Box::new(error))),
                Err(error) => Err(error),
            };
        }
        let refusal = Box::new(response.error_response().await);
        match refusal.errors.first().map(|error| error.code.as_str()) {
            Some("authorization_pending") => Ok(PollOutcome::Pending),
            Some("slow_down") => Ok(PollOutcome::SlowDown),
            Some("access_denied") => Err(self.ended(DeviceLoginEnd::Denied)),
            Some("expired_token") => Err(self.ended(DeviceLoginEnd::Expired)),
            _ => {
                let error = Error::HttpErrorResponse {
                    step: Step::Token,
                    source: refusal,
                };
                match error.is_transient() {
                    true => Ok(PollOutcome::Failed(Box::new(error))),
                    false => Err(error),
                }
            }
        }
    }

    /// The token server that the registry names in its challenge.
    async fn device_realm(&self) -> Result<TokenRealm, Error> {
        let request = ClientRequest::get(self.base.clone());
        let response = self.transport.fetch(&request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            response.success().await?;
            return Err(Error::Unsupported(format!(
                "{} asks for no login",
                self.host
            )));
        }
        match self.auth_scheme(&response)? {
            AuthScheme::Basic => Err(Error::NoDeviceLogin {
                server: self.host.to_string(),
                source: None,
            }),
            AuthScheme::Bearer(realm) => {
                self.require_confidential(&realm.realm)?;
                Ok(realm)
            }
        }
    }

    fn ended(&self, end: DeviceLoginEnd) -> Error {
        Error::DeviceLogin {
            host: self.host.to_string(),
            end,
        }
    }
}

/// The server's response to the request of a code (RFC 8628 §3.2).
fn read(
    response: &ClientResponse,
    body: &Map<String, Value>,
    realm: TokenRealm,
    now: SystemTime,
) -> Result<DeviceLogin, Error> {
    let text = |name: &str| {
        json::text(body, name)
            .map(str::to_owned)
            .ok_or_else(|| response.malformed(format!("its JSON has no `{name}`")))
    };
    let lifetime = json::seconds(body, "expires_in")
        .ok_or_else(|| response.malformed("its JSON has no `expires_in`"))?;
    let lifetime = Duration::from_secs(lifetime.min(LONGEST_LIFE));
    let interval = json::seconds(body, "interval").unwrap_or(DEFAULT_INTERVAL);
    let verification_uri = text("verification_uri")?;
    let complete = json::text(body, "verification_uri_complete");
    for uri in complete.into_iter().chain([verification_uri.as_str()]) {
        // The person is told to open it.
        let is_page = Url::parse(uri).is_ok_and(|uri| matches!(uri.scheme(), "http" | "https"));
        if !is_page {
            return Err(response.malformed(format!("{uri:?} is not the address of a page")));
        }
    }
    Ok(DeviceLogin {
        verification_uri_complete: complete.map(str::to_owned),
        verification_uri,
        user_code: text("user_code")?,
        device_code: text("device_code")?.into(),
        lifetime,
        interval: Duration::from_secs(interval.clamp(1, LONGEST_INTERVAL)),
        ends_at: now + lifetime,
        realm,
    })
}

/// The error of a server that gives no code. Most have no such endpoint.
async fn refused(realm: &TokenRealm, response: ClientResponse) -> Error {
    let source = Box::new(response.error_response().await);
    let is_absent = matches!(
        source.status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
    );
    if is_absent || source.has("unsupported_grant_type") {
        return unsupported(realm, Some(source));
    }
    Error::HttpErrorResponse {
        step: Step::Token,
        source,
    }
}

fn unsupported(realm: &TokenRealm, source: Option<Box<HttpErrorResponse>>) -> Error {
    Error::NoDeviceLogin {
        server: origin(&realm.realm),
        source,
    }
}

impl IssuedToken {
    /// What to store of this token for later logins; `None` without a refresh token.
    #[must_use]
    pub fn stored_login(&self) -> Option<LoginCredentials> {
        let token = self.refresh_token.clone()?;
        let user = self.account();
        Some(LoginCredentials::RefreshToken { user, token })
    }
}
