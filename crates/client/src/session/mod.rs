//! A session with one registry: the six steps, so that whoever has one only asks for what he wants.
//!
//! The first request goes out bare. What the registry demands then, tokens or a password, is
//! remembered for the rest of the session, and so is each token for what it was asked for.

mod scopes;
mod token_request;
mod tokens;

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use token::Challenge;
use tokio::sync::Mutex;

pub(crate) use scopes::Scopes;
pub use token_request::TokenResponse;
use token_request::is_authorized;
pub(crate) use token_request::{TokenEndpoint, authorization, basic};
use tokens::TokenCache;

use crate::error_response::{host, origin};
use crate::image_name::is_loopback;
use crate::observer::ExchangeEvent;
use crate::transport::{HttpRequest, HttpResponse, StreamedBody};
use crate::{Credentials, Error, Host, Transport};

/// A session. Clones share what is remembered.
#[derive(Clone)]
pub struct RegistrySession {
    transport: Transport,
    host: Host,
    base: Url,
    credentials: Arc<Credentials>,
    state: Arc<Mutex<SessionState>>,
}

#[derive(Default)]
struct SessionState {
    auth_scheme: Option<AuthScheme>,
    tokens: TokenCache,
}

/// What a registry wants of its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AuthScheme {
    /// A name and a password with each request.
    Basic,
    /// A token.
    Bearer(TokenEndpoint),
}

impl RegistrySession {
    /// Begins a session with `host`: finds out whether it speaks TLS. It does, unless it is this
    /// machine or plain HTTP was asked for.
    ///
    /// # Errors
    /// When this machine answers neither way.
    pub async fn begin(
        transport: Transport,
        host: Host,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        let transport = transport.on_behalf_of(host.server());
        let base = |scheme: &str| {
            let url = format!("{scheme}://{}/v2/", host.server());
            url.parse::<Url>()
                .map_err(|error| Error::Unsupported(format!("{url} is no URL: {error}")))
        };
        let plain = transport.options().plain_http
            || host.is_loopback() && speaks_plain_http(&transport, base("https")?).await?;
        let base = base(if plain { "http" } else { "https" })?;
        Ok(Self {
            transport,
            host,
            base,
            credentials: Arc::new(credentials),
            state: Arc::default(),
        })
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

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The URL of `path` (without a slash in front) below `/v2/`.
    pub(crate) fn url(&self, path: &str) -> Result<Url, Error> {
        self.base
            .join(path)
            .map_err(|error| Error::Unsupported(format!("{path:?} leads to no URL: {error}")))
    }

    /// Asks, with whatever papers it takes. What `scopes` say is what a token is asked for, besides
    /// what the registry itself demands. The answer may be a refusal still; one for want of a login
    /// or rights is an error.
    pub(crate) async fn send(
        &self,
        scopes: &Scopes,
        call: HttpRequest,
    ) -> Result<HttpResponse, Error> {
        let mut call = call.authorization(self.known(scopes).await?.as_ref());
        // Twice at most: once because nothing was known, once because what was known was not
        // believed any more.
        let mut fresh = None;
        for _ in 0..2 {
            let answer = self.transport.fetch(&call).await?;
            if answer.status() != StatusCode::UNAUTHORIZED || host(&answer.url) != host(&self.base)
            {
                return self.settled(answer).await;
            }
            let wanted = challenge_scopes(&answer)?.and(scopes);
            if fresh
                .as_ref()
                .is_some_and(|fresh: &Scopes| fresh.cover(&wanted))
            {
                return self.settled(answer).await;
            }
            match self.authorization(&wanted, &call, &answer).await? {
                Some(papers) => call = call.authorization(Some(&papers)),
                None => return self.settled(answer).await,
            }
            fresh = Some(wanted);
        }
        let answer = self.transport.fetch(&call).await?;
        self.settled(answer).await
    }

    /// Sends a body that is made meanwhile, once, with the papers that are at hand: an upload has
    /// begun before.
    pub(crate) async fn send_streamed(
        &self,
        scopes: &Scopes,
        call: HttpRequest,
        body: StreamedBody,
    ) -> Result<HttpResponse, Error> {
        let call = call.authorization(self.known(scopes).await?.as_ref());
        let answer = self.transport.send_streamed(&call, body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(papers) = call.headers.get(AUTHORIZATION)
        {
            self.state.lock().await.tokens.forget(papers);
        }
        self.settled(answer).await
    }

    /// Tries the credentials: asks `/v2/`, and for a token where one is wanted. Hands back what the
    /// token server gave, a refresh token included when it gives any.
    ///
    /// # Errors
    /// When the credentials are refused, or there is no registry.
    pub async fn log_in(&self) -> Result<Option<TokenResponse>, Error> {
        let call = HttpRequest::get(self.base.clone());
        let answer = self.transport.fetch(&call).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            answer.success().await?;
            return Ok(None);
        }
        let auth_scheme = self.auth_scheme(&answer)?;
        self.state.lock().await.auth_scheme = Some(auth_scheme.clone());
        let (papers, granted) = match &auth_scheme {
            AuthScheme::Basic => (basic(&self.credentials), None),
            AuthScheme::Bearer(server) => {
                let granted = server
                    .ask(&self.transport, &self.credentials, &Scopes::default(), true)
                    .await?;
                (
                    authorization("Bearer", granted.token.expose()),
                    Some(granted),
                )
            }
        };
        let answer = self
            .transport
            .fetch(&call.authorization(papers.as_ref()))
            .await?;
        if matches!(
            answer.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) && granted.is_none()
        {
            let (step, account) = (answer.step, self.credentials.user().map(str::to_owned));
            return Err(Error::LoginFailed {
                step,
                account,
                source: Box::new(answer.error_response().await),
            });
        }
        self.settled(answer).await?.success().await?;
        Ok(granted)
    }

    /// The header that is good for `scopes`, as far as is known before asking.
    async fn known(&self, scopes: &Scopes) -> Result<Option<HeaderValue>, Error> {
        if let Credentials::AccessToken(token) = &*self.credentials {
            return Ok(authorization("Bearer", token.expose()));
        }
        let mut state = self.state.lock().await;
        match state.auth_scheme.clone() {
            None => Ok(None),
            Some(AuthScheme::Basic) => Ok(basic(&self.credentials)),
            Some(AuthScheme::Bearer(server)) => self
                .token(&mut state, &server, scopes.clone())
                .await
                .map(Some),
        }
    }

    /// New papers for a call that was answered with 401; none when there are none that could help.
    async fn authorization(
        &self,
        wanted: &Scopes,
        call: &HttpRequest,
        answer: &HttpResponse,
    ) -> Result<Option<HeaderValue>, Error> {
        if matches!(*self.credentials, Credentials::AccessToken(_)) {
            return Ok(None);
        }
        let auth_scheme = self.auth_scheme(answer)?;
        let mut state = self.state.lock().await;
        state.auth_scheme = Some(auth_scheme.clone());
        match auth_scheme {
            // The same password again will not do.
            AuthScheme::Basic => Ok(basic(&self.credentials).filter(|_| !is_authorized(call))),
            AuthScheme::Bearer(server) => {
                if let Some(presented) = call.headers.get(AUTHORIZATION) {
                    state.tokens.forget(presented);
                }
                self.token(&mut state, &server, wanted.clone())
                    .await
                    .map(Some)
            }
        }
    }

    /// A token for `scopes`, a remembered one when there is one.
    async fn token(
        &self,
        state: &mut SessionState,
        server: &TokenEndpoint,
        scopes: Scopes,
    ) -> Result<HeaderValue, Error> {
        let clock = &self.transport.options().clock;
        if let Some(papers) = state.tokens.find(&scopes, clock.now()) {
            return Ok(papers.clone());
        }
        let granted = server
            .ask(&self.transport, &self.credentials, &scopes, false)
            .await?;
        let papers =
            authorization("Bearer", granted.token.expose()).ok_or_else(|| Error::Challenge {
                host: self.host.to_string(),
                why: format!(
                    "the token that {} gives cannot stand in a header",
                    server.realm
                ),
            })?;
        state
            .tokens
            .keep(scopes, papers.clone(), granted.lifetime, clock.now());
        Ok(papers)
    }

    /// What the registry's challenge says. Of several, a token comes before a password.
    fn auth_scheme(&self, answer: &HttpResponse) -> Result<AuthScheme, Error> {
        let challenges = challenges(answer)?;
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.is("Bearer")) {
            self.transport.observe(&ExchangeEvent::Challenged(bearer));
            return self.token_server(bearer).map(AuthScheme::Bearer);
        }
        match challenges.iter().find(|challenge| challenge.is("Basic")) {
            Some(basic) => {
                self.transport.observe(&ExchangeEvent::Challenged(basic));
                Ok(AuthScheme::Basic)
            }
            None if challenges.is_empty() => Err(answer.malformed(
                "has no WWW-Authenticate header to say how to log in: the registry, or a proxy in front, leaves it out",
            )),
            None => Err(answer.malformed(format!("wants {}, which is not spoken here", challenges[0].scheme))),
        }
    }

    fn token_server(&self, challenge: &Challenge) -> Result<TokenEndpoint, Error> {
        let wrong = |why: String| Error::Challenge {
            host: self.host.to_string(),
            why,
        };
        let text = challenge
            .parameter("realm")
            .filter(|realm| !realm.is_empty());
        let text = text.ok_or_else(|| wrong("does not say where (realm)".to_owned()))?;
        let realm: Url = text
            .parse()
            .map_err(|_| wrong(format!("its realm {text:?} is no absolute URL")))?;
        if !matches!(realm.scheme(), "http" | "https") || realm.host().is_none() {
            return Err(wrong(format!("its realm {text:?} is no web address")));
        }
        let in_clear = realm.scheme() == "http" && self.base.scheme() == "https";
        let local = realm.host_str().is_some_and(is_loopback);
        if in_clear
            && !local
            && !self.credentials.is_anonymous()
            && !self.transport.options().insecure
        {
            return Err(wrong(format!(
                "its realm {} speaks plain http, and a password is not sent there in clear (--insecure does)",
                origin(&realm)
            )));
        }
        let service = challenge
            .parameter("service")
            .filter(|service| !service.is_empty())
            .map(str::to_owned);
        Ok(TokenEndpoint { realm, service })
    }

    /// An answer that is none for want of rights is handed on; the others are errors.
    async fn settled(&self, answer: HttpResponse) -> Result<HttpResponse, Error> {
        if !matches!(
            answer.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Ok(answer);
        }
        let basic = matches!(self.state.lock().await.auth_scheme, Some(AuthScheme::Basic));
        let own = host(&answer.url) == host(&self.base);
        // With Basic nobody but the registry itself says that a password is wrong.
        if own
            && basic
            && answer.status() == StatusCode::UNAUTHORIZED
            && !self.credentials.is_anonymous()
        {
            let (step, account) = (answer.step, self.credentials.user().map(str::to_owned));
            return Err(Error::LoginFailed {
                step,
                account,
                source: Box::new(answer.error_response().await),
            });
        }
        let account = if self.credentials.is_anonymous() {
            None
        } else {
            Some(self.credentials.user().unwrap_or(""))
        };
        Err(answer.failure(account).await)
    }
}

fn challenges(answer: &HttpResponse) -> Result<Vec<Challenge>, Error> {
    let fields = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let fields: Vec<String> = fields
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    Challenge::parse_all(fields.iter().map(String::as_str))
        .map_err(|error| answer.malformed(error.to_string()))
}

/// The scopes that an answer's challenge asks for.
pub(crate) fn challenge_scopes(answer: &HttpResponse) -> Result<Scopes, Error> {
    let challenges = challenges(answer)?;
    let scope = challenges
        .iter()
        .find(|challenge| challenge.is("Bearer"))
        .and_then(|c| c.parameter("scope"));
    Ok(scope.map(Scopes::of_challenge).unwrap_or_default())
}

/// Whether this machine answers a TLS handshake with something else.
async fn speaks_plain_http(transport: &Transport, https: Url) -> Result<bool, Error> {
    match transport.send_unproved(&HttpRequest::head(https)).await {
        Ok(_) => Ok(false),
        Err(Error::Connection { problem, .. }) if problem.may_be_plain() => Ok(true),
        // What is wrong with its TLS is said when it is asked.
        Err(Error::Connection { problem, .. }) if !problem.may_pass() => Ok(false),
        Err(error) => Err(error),
    }
}
