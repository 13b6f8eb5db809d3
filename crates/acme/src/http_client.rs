//! HTTP towards the ACME server, with our TLS, and bounds on everything.
//!
//! A proxy of the environment is used (`HTTPS_PROXY`), as Go's clients do. Redirects are not followed.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use client_tls::{ClientTls, ClientTlsError};
use common::{Clock, seconds_rounded_up};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};

/// How long one exchange may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The largest response, in bytes. A chain of certificates has a few thousand.
const LARGEST_RESPONSE: usize = 256 * 1024;

/// The longest time to wait that a response may ask for, in seconds.
const LONGEST_WAIT: u64 = 86_400;

/// Sends requests to an ACME server.
#[derive(Clone)]
pub(crate) struct AcmeHttpClient {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// What the last response with an error asked for, in seconds; 0 if nothing.
    retry_after: Arc<AtomicU64>,
}

/// Why there is no response that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AcmeHttpError {
    /// The certificates that the ACME server's own is verified with.
    #[error("the trusted certificates cannot be used")]
    Tls(#[source] ClientTlsError),
    /// The HTTP library.
    #[error("the library cannot be set up")]
    Client(#[source] reqwest::Error),
    /// No connection, or it broke.
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    /// The response is too long.
    #[error("the response is longer than {LARGEST_RESPONSE} bytes")]
    TooLong,
    /// An error that is not in the form of ACME (RFC 8555 §6.7): of a proxy, or of a server that does
    /// not speak ACME.
    #[error("{url} answered {status}, which is not an answer of an ACME server")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: StatusCode,
    },
}

impl AcmeHttpClient {
    /// A client without connections yet, which trusts what `tls` says.
    pub(crate) fn new(tls: &ClientTls, clock: Arc<dyn Clock>) -> Result<Self, AcmeHttpError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .https_only(true)
            .timeout(LIMIT)
            .referer(false)
            .tls_backend_preconfigured(tls.config().map_err(AcmeHttpError::Tls)?)
            .build()
            .map_err(AcmeHttpError::Client)?;
        Ok(Self {
            client,
            clock,
            retry_after: Arc::default(),
        })
    }

    /// The same with nothing remembered, for another attempt.
    pub(crate) fn for_attempt(&self) -> Self {
        Self {
            retry_after: Arc::default(),
            ..self.clone()
        }
    }

    /// How long the ACME server asked to wait when it last refused something.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.retry_after.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    async fn exchange(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, AcmeHttpError> {
        let (head, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let url = head.uri.to_string();
        let request = self.client.request(head.method, url.as_str());
        let response = self.send(request.headers(head.headers).body(body)).await?;
        // A redirect is not followed: requests are signed for their URL (RFC 8555 §6.4).
        let status = response.status();
        if !status.is_success() && !is_problem(response.body()) {
            return Err(AcmeHttpError::Status { url, status });
        }
        Ok(BytesResponse::from(response.map(Full::new)))
    }

    /// The page at `url`, which needs no account.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, AcmeHttpError> {
        let response = self.send(self.client.get(url)).await?;
        match response.status() {
            status if status.is_success() => Ok(response.into_body()),
            status => Err(AcmeHttpError::Status {
                url: url.to_owned(),
                status,
            }),
        }
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Response<Bytes>, AcmeHttpError> {
        let mut response = request.send().await.map_err(AcmeHttpError::Request)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(AcmeHttpError::Request)? {
            if body.len() + piece.len() > LARGEST_RESPONSE {
                return Err(AcmeHttpError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        let mut headers = std::mem::take(response.headers_mut());
        let wait = bounded_wait(&mut headers, self.clock.now());
        if status.is_client_error() || status.is_server_error() {
            self.retry_after.store(wait.unwrap_or(0), Ordering::Relaxed);
        }
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl HttpClient for AcmeHttpClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let response = client.exchange(request).await;
            response.map_err(|error| {
                let error: Box<dyn Error + Send + Sync> = Box::new(error);
                instant_acme::Error::Other(error)
            })
        })
    }
}

/// Bounds `Retry-After`, which the ACME library adds to the time of now without a check, and returns
/// it in seconds. One that cannot be read is removed.
fn bounded_wait(headers: &mut HeaderMap, now: SystemTime) -> Option<u64> {
    let wait = headers.remove(RETRY_AFTER)?;
    let wait = wait.to_str().ok()?.trim();
    let seconds = match wait.parse() {
        Ok(seconds) => seconds,
        Err(_) if !wait.is_empty() && wait.bytes().all(|byte| byte.is_ascii_digit()) => {
            LONGEST_WAIT
        }
        Err(_) => {
            let date = httpdate::parse_http_date(wait).ok()?;
            seconds_rounded_up(date.duration_since(now).unwrap_or_default())
        }
    };
    let seconds = seconds.min(LONGEST_WAIT);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    Some(seconds)
}

/// Whether it is a problem document (RFC 9457) of the kind that ACME uses.
fn is_problem(body: &[u8]) -> bool {
    let problem = serde_json::from_slice::<serde_json::Value>(body);
    problem.is_ok_and(|problem| problem["type"].is_string() || problem["detail"].is_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_wait_is_bounded() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        for (text, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(59)),
            ("Thu, 31 Dec 1998 23:59:59 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST_WAIT)),
            ("18446744073709551615", Some(LONGEST_WAIT)),
            ("99999999999999999999999", Some(LONGEST_WAIT)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(bounded_wait(&mut headers, now), expected, "{text}");
            let left = headers.get(RETRY_AFTER).map(|wait| wait.to_str().unwrap());
            let expected = expected.map(|seconds| seconds.to_string());
            assert_eq!(left, expected.as_deref(), "{text}");
        }
    }

    #[test]
    fn a_page_of_a_proxy_is_no_problem_document() {
        assert!(is_problem(
            br#"{"type":"urn:ietf:params:acme:error:badNonce"}"#
        ));
        for page in ["<html>", "", "null", "[]", "{}", r#"{"type":7}"#] {
            assert!(!is_problem(page.as_bytes()), "{page}");
        }
    }
}
