//! Sending one request to one endpoint, once.
//!
//! What the answer says besides its status is never used, so little of it is read. A redirect is
//! followed only to the same origin, because the headers of the configuration may hold a secret, and
//! only with 307 or 308, because every other status would change the request into a `GET`.

use std::time::Duration;

use bytes::Bytes;
use client_tls::{ClientTls, ClientTlsError};
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method};
use reqwest::{Client, Request, Response, Url};
use tokio::time::timeout;

use crate::{ENVELOPE_MEDIA_TYPE, EndpointSettings, SIGNATURE_HEADER, SigningSecret};

/// The longest answer that is read, in bytes, so that the connection can be used again. The connection
/// of a longer one is closed.
const MOST_ANSWER: u64 = 4096;

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 3;

/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_millis(1500);

/// Sends notifications to one endpoint.
#[derive(Debug)]
pub(crate) struct EndpointClient {
    client: Client,
    url: Url,
    headers: HeaderMap,
    secret: Option<SigningSecret>,
    limit: Duration,
}

/// Why a notification was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// There is no connection, or it broke.
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The endpoint does not accept it.
    #[error("the endpoint answered {0}")]
    Status(u16),
    /// The endpoint is elsewhere.
    #[error(
        "the endpoint answered {0}, and redirects are only followed within its origin, with 307 or 308: write its address as url"
    )]
    Redirect(u16),
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EndpointClientError {
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
    /// The HTTP library.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl DeliveryError {
    /// The status of the answer, if there was one.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Connection(_) | Self::Timeout(_) => None,
            Self::Status(status) | Self::Redirect(status) => Some(*status),
        }
    }

    /// Whether the endpoint has understood the request, and does not like its body. Another body may do.
    pub(crate) fn rejects_body(&self) -> bool {
        matches!(self.status(), Some(400 | 413 | 422))
    }
}

impl EndpointClient {
    pub(crate) fn new(
        settings: &EndpointSettings,
        tls: &ClientTls,
        secret: Option<SigningSecret>,
    ) -> Result<Self, EndpointClientError> {
        // The system's many authorities need not be read for a connection without TLS.
        let tls = match settings.url.is_encrypted() {
            true => tls.config()?,
            false => ClientTls::trusting_none().config()?,
        };
        let client = Client::builder()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(settings.timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .referer(false)
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(EndpointClientError::Client)?;
        let mut headers = settings.headers.clone();
        let media_type = HeaderValue::from_static(ENVELOPE_MEDIA_TYPE);
        headers.insert(CONTENT_TYPE, media_type);
        // As in Go, a header that is set counts more.
        if let Some(basic) = settings.url.basic_authorization() {
            headers.entry(AUTHORIZATION).or_insert(basic);
        }
        Ok(Self {
            client,
            url: settings.url.url(),
            headers,
            secret,
            limit: settings.timeout,
        })
    }

    /// Sends `body`, and returns the status with which it was accepted.
    pub(crate) async fn send(&self, body: Bytes) -> Result<u16, DeliveryError> {
        match timeout(self.limit, self.exchange(body)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DeliveryError::Timeout(self.limit)),
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<u16, DeliveryError> {
        let mut headers = self.headers.clone();
        let signature = self.secret.as_ref().and_then(|secret| secret.sign(&body));
        if let Some(signature) = signature {
            headers.insert(SIGNATURE_HEADER, signature);
        }
        let mut url = self.url.clone();
        let mut redirect = 308;
        for _ in 0..=MOST_REDIRECTS {
            let mut request = Request::new(Method::POST, url.clone());
            *request.headers_mut() = headers.clone();
            *request.body_mut() = Some(body.clone().into());
            let response = self.client.execute(request).await;
            // The URL of the library's error has the query.
            let response =
                response.map_err(|error| DeliveryError::Connection(error.without_url()))?;
            let status = response.status().as_u16();
            let location = location(&response, &url);
            match status {
                // Distribution accepts 3xx as well: what it does not follow has no address.
                200..=299 => return Ok(accepted(response).await),
                300..=399 if !response.headers().contains_key(LOCATION) => {
                    return Ok(accepted(response).await);
                }
                307 | 308 => match location {
                    Some(next) if next.origin() == self.url.origin() => {
                        (url, redirect) = (next, status);
                    }
                    Some(_) | None => return Err(DeliveryError::Redirect(status)),
                },
                300..=399 => return Err(DeliveryError::Redirect(status)),
                _ => return Err(DeliveryError::Status(status)),
            }
        }
        Err(DeliveryError::Redirect(redirect))
    }
}

/// Reads a short answer to its end. Whatever happens meanwhile, the status counts.
async fn accepted(response: Response) -> u16 {
    let status = response.status().as_u16();
    let length = response.content_length();
    if length.is_some_and(|length| length <= MOST_ANSWER) {
        let _ = timeout(Duration::from_millis(100), response.bytes()).await;
    }
    status
}

fn location(response: &Response, base: &Url) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    base.join(location).ok()
}
