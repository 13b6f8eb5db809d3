//! A server that is asked over HTTP: one URL, a JSON body, bounds on everything.
//!
//! Clients make the requests happen, so they are limited like the programs of
//! [`process`](crate::process): so many at once, a bounded queue in which sources take turns, a time
//! limit, a limit on the answer. A connection that cannot be made, or that breaks before an answer
//! begins, is tried once more; an answer never is. Redirects are not followed, because the password
//! would go to another address than the configured one. Proxies of the environment are not used.

mod json;
mod url;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use common::Clock;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, Request, Response};
use tokio::time::timeout;
use traces::{SpanKind, in_child_span};

pub use self::json::{JsonPlace, json_object};
pub use self::url::{BackendUrl, BackendUrlError};
use crate::LoginSource;
use crate::circuit_breaker::{CircuitBreaker, CircuitOpen};
use crate::fair_semaphore::{FairSemaphore, TooManyWaiting};
use crate::tls::{ClientTls, ClientTlsError};

/// How much of an answer is read, in bytes.
pub const MOST_ANSWER: usize = 64 * 1024;

/// The pause before a connection is tried once more.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection is kept for the next request. Servers close theirs after two seconds or
/// later; one that is closed just when it is used again costs a retry.
const IDLE: Duration = Duration::from_millis(1500);

/// What an [`HttpClient`] needs to know.
#[derive(Clone)]
pub struct HttpClientSettings {
    /// The configuration's section, for the log.
    pub section: &'static str,
    /// Where requests go.
    pub url: BackendUrl,
    /// What every request carries, perhaps a bearer token among it. Nothing of it is ever shown.
    pub headers: HeaderMap,
    /// Which servers are trusted, and what they are shown.
    pub tls: ClientTls,
    /// How long a request may take, and how long it may wait for its turn.
    pub timeout: Duration,
    /// How many requests there may be at once.
    pub concurrency: NonZeroUsize,
}

/// Sends requests to one URL.
pub struct HttpClient {
    client: Client,
    url: BackendUrl,
    headers: HeaderMap,
    limit: Duration,
    running: FairSemaphore,
    breaker: CircuitBreaker,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// As many as allowed are in progress and waiting, or the wait was as long as the limit.
    #[error("too many requests to {0} are in progress and waiting")]
    Busy(BackendUrl),
    /// It failed several times in a row, and is not asked for a while.
    #[error("{0} keeps failing, and is not asked for a while")]
    CircuitOpen(BackendUrl),
    /// There is no connection, or it broke.
    #[error("the connection to {url} failed")]
    Connection {
        /// Where to.
        url: BackendUrl,
        /// What happened.
        source: reqwest::Error,
    },
    /// There was no whole answer in time.
    #[error("{url} did not answer within {limit:?}")]
    Limit {
        /// What was asked.
        url: BackendUrl,
        /// How long a request may take.
        limit: Duration,
    },
    /// The server says that it cannot answer now (429, 502, 503, 504).
    #[error("{url} answered {status}")]
    Unavailable {
        /// What was asked.
        url: BackendUrl,
        /// The status.
        status: u16,
    },
    /// The server refuses the bearer token of the configuration (RFC 6750 §3).
    #[error("{0} refuses the token of the configuration (401 with a Bearer challenge)")]
    Token(BackendUrl),
    /// The answer is too long.
    #[error("{0} answered with more than {MOST_ANSWER} bytes")]
    TooLong(BackendUrl),
}

/// Why a client cannot be made of its settings.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientSetupError {
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
    /// The HTTP library.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl HttpClient {
    /// A client without connections yet.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn new(
        settings: HttpClientSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpClientSetupError> {
        // The system's many authorities need not be read for a connection without TLS.
        let tls = match settings.url.is_encrypted() {
            true => settings.tls,
            false => ClientTls::trusting_none(),
        };
        let client = Client::builder()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(settings.timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(settings.concurrency.get())
            .referer(false)
            .no_proxy()
            .tls_backend_preconfigured(tls.config()?)
            .build()
            .map_err(HttpClientSetupError::Client)?;
        let mut headers = settings.headers;
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json.clone());
        headers.insert(ACCEPT, json);
        Ok(Self {
            client,
            url: settings.url,
            headers,
            limit: settings.timeout,
            running: FairSemaphore::new(settings.concurrency, settings.timeout),
            breaker: CircuitBreaker::new(settings.section, clock),
        })
    }

    /// Where it sends requests.
    #[must_use]
    pub fn url(&self) -> &BackendUrl {
        &self.url
    }

    /// Sends the JSON `body` when it is the turn of `source`, and reads the whole answer.
    ///
    /// # Errors
    /// When no answer arrived. A status that says that the server cannot answer is an error, too.
    pub async fn post(
        &self,
        source: &LoginSource,
        body: &[u8],
    ) -> Result<HttpAnswer, HttpClientError> {
        self.breaker.check().map_err(|open| self.open(open))?;
        let turn = self.running.acquire(source).await;
        let _permit = turn.map_err(|TooManyWaiting| HttpClientError::Busy(self.url.clone()))?;
        let attempt = self.breaker.admit().map_err(|open| self.open(open))?;
        let exchange = in_child_span("HTTP backend", SpanKind::Client, self.exchange(body));
        let outcome = match timeout(self.limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(HttpClientError::Limit {
                url: self.url.clone(),
                limit: self.limit,
            }),
        };
        match &outcome {
            Err(
                HttpClientError::Connection { .. }
                | HttpClientError::Limit { .. }
                | HttpClientError::Unavailable {
                    status: 502..=504, ..
                },
            ) => attempt.failed(),
            _ => attempt.succeeded(),
        }
        outcome
    }

    async fn exchange(&self, body: &[u8]) -> Result<HttpAnswer, HttpClientError> {
        let response = match self.client.execute(self.request(body)).await {
            Err(error) if is_before_an_answer(&error) => {
                tokio::time::sleep(RETRY_PAUSE).await;
                self.client.execute(self.request(body)).await
            }
            first => first,
        };
        let response = response.map_err(|error| self.broken(error))?;
        let status = response.status().as_u16();
        if matches!(status, 429 | 502..=504) {
            let url = self.url.clone();
            return Err(HttpClientError::Unavailable { url, status });
        }
        if status == 401 && self.has_token() && has_bearer_challenge(&response) {
            return Err(HttpClientError::Token(self.url.clone()));
        }
        self.read(response).await
    }

    fn request(&self, body: &[u8]) -> Request {
        let mut request = Request::new(Method::POST, self.url.url().clone());
        *request.headers_mut() = self.headers.clone();
        traces::propagate(request.headers_mut());
        *request.body_mut() = Some(body.to_vec().into());
        request
    }

    async fn read(&self, mut response: Response) -> Result<HttpAnswer, HttpClientError> {
        let most = MOST_ANSWER as u64;
        if response
            .content_length()
            .is_some_and(|length| length > most)
        {
            return Err(HttpClientError::TooLong(self.url.clone()));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + piece.len() > MOST_ANSWER {
                return Err(HttpClientError::TooLong(self.url.clone()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(HttpAnswer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    fn has_token(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }

    fn open(&self, _: CircuitOpen) -> HttpClientError {
        HttpClientError::CircuitOpen(self.url.clone())
    }

    fn broken(&self, error: reqwest::Error) -> HttpClientError {
        HttpClientError::Connection {
            url: self.url.clone(),
            // The URL of the library's error has the query.
            source: error.without_url(),
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientSettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl HttpClientError {
    /// Whether another attempt may succeed without a change of the configuration or the server.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy(_)
            | Self::CircuitOpen(_)
            | Self::Connection { .. }
            | Self::Limit { .. }
            | Self::Unavailable { .. } => true,
            Self::Token(_) | Self::TooLong(_) => false,
        }
    }
}

/// Whether the connection could not be made, or was closed before an answer began: a server that is
/// restarted closes idle connections.
fn is_before_an_answer(error: &reqwest::Error) -> bool {
    !error.is_timeout() && (error.is_connect() || error.is_request())
}

fn has_bearer_challenge(response: &Response) -> bool {
    let challenges = response.headers().get_all(WWW_AUTHENTICATE);
    challenges.iter().any(|challenge| {
        let scheme = challenge.as_bytes().split(|byte| *byte == b' ').next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer"))
    })
}
