//! A session with one registry: it goes through the [steps](crate::Step) of token authentication, so
//! that its users only name what they want. It decides which credentials are sent, and to which
//! origin; `credentials/store.rs` finds them.
//!
//! The first request is sent without a token. The registry's challenge says whether it takes tokens
//! or passwords. The session remembers that, and each token for the scopes that it was requested
//! for.

mod device_login;
mod scopes;
mod token_request;
mod tokens;

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use token::Challenge;
use tokio::sync::Mutex;

pub use device_login::DeviceLogin;
pub(crate) use scopes::Scopes;
pub use token_request::IssuedToken;
use token_request::is_authorized;
pub(crate) use token_request::{TokenRealm, authorization_header, basic};
use tokens::TokenCache;

use crate::http_error_response::origin;
use crate::image_name::is_loopback;
use crate::observer::ExchangeEvent;
use crate::transport::{ClientRequest, ClientResponse, StreamedBody};
use crate::{Error, Host, LoginCredentials, Step, Transport};

/// A session. Clones share what it remembers.
#[derive(Clone)]
pub struct RegistrySession {
    transport: Transport,
    host: Host,
    base: Url,
    credentials: Arc<LoginCredentials>,
    realms: AcceptedRealms,
    login: Arc<LoginProbe>,
    state: Arc<Mutex<SessionState>>,
}

/// What is asked for to log in.
#[derive(Clone, Debug)]
pub(crate) struct LoginProbe {
    /// An address that only answers with a login.
    pub(crate) url: Url,
    /// What it needs.
    pub(crate) scopes: Scopes,
}

/// Which token servers a session sends its login to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptedRealms {
    /// The one that the challenge names: a registry has its token server anywhere.
    Any,
    /// One of the same origin only. Else a server could have another server's tokens sent to itself.
    OwnOrigin,
}

#[derive(Default)]
struct SessionState {
    auth_scheme: Option<AuthScheme>,
    tokens: TokenCache,
}

/// How a registry authenticates its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AuthScheme {
    /// A name and a password with each request.
    Basic,
    /// A token from this server.
    Bearer(TokenRealm),
}

impl RegistrySession {
    /// Begins a session with `host` over TLS. It is plain HTTP if the options say so, or if `host`
    /// is this machine and answers plain HTTP.
    ///
    /// # Errors
    /// When this machine answers neither.
    pub async fn begin(
        transport: Transport,
        host: Host,
        credentials: LoginCredentials,
    ) -> Result<Self, Error> {
        let transport = transport.on_behalf_of(host.server());
        let base = |scheme: &str| {
            let url = format!("{scheme}://{}/v2/", host.server());
            url.parse::<Url>()
                .map_err(|error| Error::Unsupported(format!("{url} is not a URL: {error}")))
        };
        let plain = transport.options().plain_http
            || host.is_loopback() && speaks_plain_http(&transport, base("https")?).await?;
        let base = base(if plain { "http" } else { "https" })?;
        let login = LoginProbe {
            url: base.clone(),
            scopes: Scopes::default(),
        };
        Ok(Self {
            transport,
            host,
            base,
            credentials: Arc::new(credentials),
            realms: AcceptedRealms::Any,
            login: Arc::new(login),
            state: Arc::default(),
        })
    }

    /// A session with the API at `base`, which asks for tokens as a registry does, but only those of
    /// its own token server.
    pub(crate) fn with_api(
        transport: &Transport,
        host: Host,
        base: Url,
        credentials: LoginCredentials,
        login: LoginProbe,
    ) -> Self {
        Self {
            transport: transport.on_behalf_of(host.server()),
            host,
            base,
            credentials: Arc::new(credentials),
            realms: AcceptedRealms::OwnOrigin,
            login: Arc::new(login),
            state: Arc::default(),
        }
    }

    /// The registry.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its `/v2/`.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The account that logs in, if its credentials name it.
    pub(crate) fn account(&self) -> Option<&str> {
        self.credentials.user()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The URL of `path` (without a slash in front) below `/v2/`.
    pub(crate) fn url(&self, path: &str) -> Result<Url, Error> {
        self.base
            .join(path)
            .map_err(|error| Error::Unsupported(format!("{path:?} is not part of a URL: {error}")))
    }

    /// Sends a request with the authorization that it needs. A token is requested for `scopes` and
    /// for what the registry's challenge names. The response may be an error of any kind, except
    /// for missing rights and a failed login: those are `Err`.
    ///
    /// Nothing secret is sent to another origin than the registry's.
    pub(crate) async fn send(
        &self,
        scopes: &Scopes,
        request: ClientRequest,
    ) -> Result<ClientResponse, Error> {
        if !self.is_own(&request.url) {
            let request = request.step(Step::Redirected);
            return self.checked(self.transport.fetch(&request).await?).await;
        }
        let known = self.cached_authorization(scopes).await?;
        let mut request = request.authorization(known.as_ref());
        // Twice at most: once when nothing was known, once when what was known is rejected.
        let mut requested: Option<Scopes> = None;
        for _ in 0..2 {
            let response = self.transport.fetch(&request).await?;
            if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(&response.url) {
                return self.checked(response).await;
            }
            let wanted = challenge_scopes(&response)?.and(scopes);
            if requested.is_some_and(|requested| requested.cover(&wanted)) {
                return self.checked(response).await;
            }
            match self
                .authorization_after_401(&wanted, &request, &response)
                .await?
            {
                Some(authorization) => request = request.authorization(Some(&authorization)),
                None => return self.checked(response).await,
            }
            requested = Some(wanted);
        }
        let response = self.transport.fetch(&request).await?;
        self.checked(response).await
    }

    /// Sends a body that is produced meanwhile, once, with the authorization at hand: an upload has
    /// begun with it.
    pub(crate) async fn send_streamed(
        &self,
        scopes: &Scopes,
        request: ClientRequest,
        body: StreamedBody,
    ) -> Result<ClientResponse, Error> {
        if !self.is_own(&request.url) {
            let request = request.step(Step::Redirected);
            return self.transport.send_streamed(&request, body).await;
        }
        let known = self.cached_authorization(scopes).await?;
        let request = request.authorization(known.as_ref());
        let response = self.transport.send_streamed(&request, body).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(authorization) = request.headers.get(AUTHORIZATION)
        {
            self.state.lock().await.tokens.forget(authorization);
        }
        self.checked(response).await
    }

    /// Whether a URL has the registry's origin. Tokens and passwords are sent to no other (RFC 9110
    /// §11.5), apart from the token server.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        origin(url) == origin(&self.base)
    }

    /// Logs in: asks for a registry's `/v2/`, and for a token if the registry takes tokens. Returns the token
    /// server's response, which holds a refresh token if the server issues them.
    ///
    /// # Errors
    /// When the login is rejected, or there is no registry.
    pub async fn log_in(&self) -> Result<Option<IssuedToken>, Error> {
        let LoginProbe { url, scopes } = &*self.login;
        let request = ClientRequest::get(url.clone());
        let response = self.transport.fetch(&request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            response.success().await?;
            return Ok(None);
        }
        let auth_scheme = self.auth_scheme(&response)?;
        self.state.lock().await.auth_scheme = Some(auth_scheme.clone());
        let (authorization, granted) = match &auth_scheme {
            AuthScheme::Basic => (basic(&self.credentials), None),
            AuthScheme::Bearer(realm) => {
                let granted = realm.ask(&self.transport, &self.credentials, scopes, true);
                let granted = granted.await?;
                let authorization = authorization_header("Bearer", granted.token.expose());
                (authorization, Some(granted))
            }
        };
        let request = request.authorization(authorization.as_ref());
        let response = self.transport.fetch(&request).await?;
        if is_denied(response.status()) && granted.is_none() {
            return Err(self.login_failed(response).await);
        }
        self.checked(response).await?.success().await?;
        Ok(granted)
    }

    /// Logs out: has the token server revoke the refresh token of this session, if it can (RFC
    /// 7009). Returns whether it did; `false` for other credentials, and for a server that has no
    /// such endpoint.
    ///
    /// # Errors
    /// When the server has the endpoint and fails.
    pub async fn revoke(&self) -> Result<bool, Error> {
        let LoginCredentials::RefreshToken { token, .. } = &*self.credentials else {
            return Ok(false);
        };
        let response = self
            .transport
            .fetch(&ClientRequest::get(self.login.url.clone()))
            .await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
        match self.auth_scheme(&response)? {
            AuthScheme::Basic => Ok(false),
            AuthScheme::Bearer(realm) => realm.revoke(&self.transport, token).await,
        }
    }

    /// The `Authorization` header for `scopes`, as far as it is known before asking.
    async fn cached_authorization(&self, scopes: &Scopes) -> Result<Option<HeaderValue>, Error> {
        if let LoginCredentials::AccessToken(token) = &*self.credentials {
            return Ok(authorization_header("Bearer", token.expose()));
        }
        let mut state = self.state.lock().await;
        match state.auth_scheme.clone() {
            None => Ok(None),
            Some(AuthScheme::Basic) => Ok(basic(&self.credentials)),
            Some(AuthScheme::Bearer(realm)) => self
                .token(&mut state, &realm, scopes.clone())
                .await
                .map(Some),
        }
    }

    /// Another `Authorization` header for a request that was answered with 401; `None` if none could
    /// help.
    async fn authorization_after_401(
        &self,
        wanted: &Scopes,
        request: &ClientRequest,
        response: &ClientResponse,
    ) -> Result<Option<HeaderValue>, Error> {
        if matches!(*self.credentials, LoginCredentials::AccessToken(_)) {
            return Ok(None);
        }
        let auth_scheme = self.auth_scheme(response)?;
        let mut state = self.state.lock().await;
        state.auth_scheme = Some(auth_scheme.clone());
        match auth_scheme {
            // The same password again would be rejected again.
            AuthScheme::Basic => Ok(basic(&self.credentials).filter(|_| !is_authorized(request))),
            AuthScheme::Bearer(realm) => {
                if let Some(presented) = request.headers.get(AUTHORIZATION) {
                    state.tokens.forget(presented);
                }
                self.token(&mut state, &realm, wanted.clone())
                    .await
                    .map(Some)
            }
        }
    }

    /// A token for `scopes`: a remembered one, or a new one.
    async fn token(
        &self,
        state: &mut SessionState,
        realm: &TokenRealm,
        scopes: Scopes,
    ) -> Result<HeaderValue, Error> {
        let clock = &self.transport.options().clock;
        if let Some(authorization) = state.tokens.find(&scopes, clock.now()) {
            return Ok(authorization.clone());
        }
        let granted = realm
            .ask(&self.transport, &self.credentials, &scopes, false)
            .await?;
        let authorization = authorization_header("Bearer", granted.token.expose());
        let authorization = authorization.ok_or_else(|| Error::Challenge {
            host: self.host.to_string(),
            why: format!(
                "the token from {} holds characters that a header cannot hold",
                origin(&realm.realm)
            ),
        })?;
        let now = clock.now();
        let kept = authorization.clone();
        state.tokens.keep(scopes, kept, granted.lifetime, now);
        Ok(authorization)
    }

    /// How the registry authenticates, by its challenge. Of several, tokens come before passwords.
    fn auth_scheme(&self, response: &ClientResponse) -> Result<AuthScheme, Error> {
        let challenges = challenges(response)?;
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.is("Bearer")) {
            self.transport.observe(&ExchangeEvent::Challenged(bearer));
            return self.token_realm(bearer).map(AuthScheme::Bearer);
        }
        match challenges.iter().find(|challenge| challenge.is("Basic")) {
            Some(basic) => {
                self.transport.observe(&ExchangeEvent::Challenged(basic));
                Ok(AuthScheme::Basic)
            }
            None if challenges.is_empty() => Err(response.malformed(
                "it has no WWW-Authenticate header that says how to log in: the registry, or a proxy \
                 in front of it, leaves it out",
            )),
            None => Err(response.malformed(format!(
                "it asks for {} authentication, which this client does not support",
                challenges[0].scheme
            ))),
        }
    }

    fn token_realm(&self, challenge: &Challenge) -> Result<TokenRealm, Error> {
        let wrong = |why: String| Error::Challenge {
            host: self.host.to_string(),
            why,
        };
        let text = challenge
            .parameter("realm")
            .filter(|realm| !realm.is_empty());
        let text = text.ok_or_else(|| wrong("its challenge has no realm".to_owned()))?;
        let realm: Url = text
            .parse()
            .map_err(|_| wrong(format!("its realm {text:?} is not an absolute URL")))?;
        if !matches!(realm.scheme(), "http" | "https") || realm.host().is_none() {
            return Err(wrong(format!(
                "its realm {text:?} is not an http or https URL"
            )));
        }
        if !self.credentials.is_anonymous() {
            self.require_confidential(&realm)?;
        }
        if self.realms == AcceptedRealms::OwnOrigin && !self.is_own(&realm) {
            return Err(wrong(format!(
                "its realm {} is another server, so the login is not sent: name that one",
                origin(&realm)
            )));
        }
        let service = challenge
            .parameter("service")
            .filter(|service| !service.is_empty())
            .map(str::to_owned);
        Ok(TokenRealm { realm, service })
    }

    /// Refuses a realm to which no secret should go: plain http, though the registry has TLS.
    fn require_confidential(&self, realm: &Url) -> Result<(), Error> {
        let in_clear = realm.scheme() == "http" && self.base.scheme() == "https";
        let local = realm.host_str().is_some_and(is_loopback);
        if !in_clear || local || self.transport.options().insecure {
            return Ok(());
        }
        Err(Error::Challenge {
            host: self.host.to_string(),
            why: format!(
                "its realm {} is plain http, so the login is not sent: use an https realm, or --insecure",
                origin(realm)
            ),
        })
    }

    /// Hands on a response, unless it says that rights are missing or the login failed.
    async fn checked(&self, response: ClientResponse) -> Result<ClientResponse, Error> {
        if !is_denied(response.status()) {
            return Ok(response);
        }
        let is_basic = matches!(self.state.lock().await.auth_scheme, Some(AuthScheme::Basic));
        let logged_in = !self.credentials.is_anonymous();
        // With Basic, the registry itself checks the password.
        if self.is_own(&response.url)
            && is_basic
            && logged_in
            && response.status() == StatusCode::UNAUTHORIZED
        {
            return Err(self.login_failed(response).await);
        }
        Err(response.failure(logged_in).await)
    }

    async fn login_failed(&self, response: ClientResponse) -> Error {
        Error::LoginFailed {
            step: response.step,
            account: self.credentials.user().map(str::to_owned),
            source: Box::new(response.error_response().await),
        }
    }
}

fn is_denied(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn challenges(response: &ClientResponse) -> Result<Vec<Challenge>, Error> {
    response
        .challenges()
        .map_err(|error| response.malformed(error.to_string()))
}

/// The scopes that a response's challenge asks for.
pub(crate) fn challenge_scopes(response: &ClientResponse) -> Result<Scopes, Error> {
    let challenges = challenges(response)?;
    let scope = challenges
        .iter()
        .find(|challenge| challenge.is("Bearer"))
        .and_then(|challenge| challenge.parameter("scope"));
    Ok(scope.map(Scopes::of_challenge).unwrap_or_default())
}

/// Whether this machine answers a TLS handshake with something else.
async fn speaks_plain_http(transport: &Transport, https: Url) -> Result<bool, Error> {
    match transport.send_unverified(&ClientRequest::head(https)).await {
        Ok(_) => Ok(false),
        Err(Error::Connection { problem, .. }) if problem.may_be_plain() => Ok(true),
        // A problem with TLS is reported by the first request.
        Err(Error::Connection { problem, .. }) if !problem.is_transient() => Ok(false),
        Err(error) => Err(error),
    }
}
