//! A response whose body is read within bounds of size and time.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, SERVER, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use token::{Challenge, ChallengeError};

use super::retry::retry_after;
use super::{ConnectionError, RootCause};
use crate::http_error_response::origin;
use crate::problem::{ProblemDetails, shortened};
use crate::{Error, HttpErrorResponse, Step};

/// How long a server may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a body that is read whole may take.
const WHOLE: Duration = Duration::from_secs(300);
/// How much of an error's body is read, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A response whose body has not been read.
pub(crate) struct ClientResponse {
    pub(crate) step: Step,
    pub(crate) method: Method,
    /// The URL that responded: after redirects, not the one that was asked first.
    pub(crate) url: Url,
    pub(crate) response: reqwest::Response,
    pub(crate) received_at: SystemTime,
}

impl ClientResponse {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The header called `name` as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Its challenges (RFC 9110 §11.6.1).
    pub(crate) fn challenges(&self) -> Result<Vec<Challenge>, ChallengeError> {
        let fields = self.headers().get_all(WWW_AUTHENTICATE).iter();
        let fields: Vec<_> = fields
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        Challenge::parse_all(fields.iter().map(AsRef::as_ref))
    }

    /// How long the client should wait before it asks again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.headers(), self.received_at)
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(SILENCE, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(self.interrupted(ConnectionError::Broken, RootCause::of(&error))),
            Err(_) => Err(self.interrupted(
                ConnectionError::Timeout,
                RootCause::saying("the server stopped sending in the middle of a response"),
            )),
        }
    }

    /// The whole body, which must not have more than `limit` bytes.
    pub(crate) async fn bytes(&mut self, limit: usize) -> Result<Bytes, Error> {
        match tokio::time::timeout(WHOLE, self.collect(limit)).await {
            Ok(body) => body,
            Err(_) => Err(self.interrupted(
                ConnectionError::Timeout,
                RootCause::saying("a small response took more than five minutes"),
            )),
        }
    }

    async fn collect(&mut self, limit: usize) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(self.malformed(format!("its body has more than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The whole body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self, limit: usize) -> Result<T, Error> {
        let body = self.bytes(limit).await?;
        crate::json::parse(&body)
            .map_err(|error| self.malformed(format!("its body is not the expected JSON: {error}")))
    }

    /// This response when it is a success, else the error that it is.
    pub(crate) async fn success(self) -> Result<Self, Error> {
        if self.status().is_success() {
            Ok(self)
        } else {
            Err(self.failure(false).await)
        }
    }

    /// The error that this response is. `logged_in` says whether the request was made with a login.
    pub(crate) async fn failure(self, logged_in: bool) -> Error {
        let step = self.step;
        let source = Box::new(self.error_response().await);
        match source.status {
            // What another host says about rights has nothing to do with the login.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if step != Step::Redirected => {
                Error::Denied {
                    step,
                    logged_in,
                    source,
                }
            }
            StatusCode::NOT_FOUND => Error::NotFound { step, source },
            _ => Error::HttpErrorResponse { step, source },
        }
    }

    /// What the server says about its error. A body that breaks off counts as far as it came.
    pub(crate) async fn error_response(mut self) -> HttpErrorResponse {
        let mut body = Vec::new();
        let reading = async {
            while body.len() < MAX_ERROR_BYTES
                && let Ok(Some(chunk)) = self.chunk().await
            {
                body.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR_BYTES - body.len())]);
            }
        };
        let _ = tokio::time::timeout(SILENCE, reading).await;
        let media_type = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let is_problem = media_type.eq_ignore_ascii_case(ProblemDetails::MEDIA_TYPE);
        let problem = is_problem.then(|| ProblemDetails::parse(&body)).flatten();
        let (errors, text) = match problem {
            Some(_) => Default::default(),
            None => HttpErrorResponse::errors_of(&body),
        };
        let challenges = self.challenges().unwrap_or_default();
        let mut challenges = challenges.iter();
        let rejected = |code: &'static str| {
            move |challenge: &&Challenge| challenge.parameter("error") == Some(code)
        };
        HttpErrorResponse {
            server: self
                .headers()
                .get(SERVER)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            retry_after: self.retry_after(),
            rejects_token: challenges.clone().any(|it| rejected("invalid_token")(&it)),
            missing_scope: challenges
                .find(rejected("insufficient_scope"))
                .and_then(|challenge| challenge.parameter("scope"))
                .map(shortened),
            status: self.status(),
            method: self.method,
            url: self.url,
            errors,
            text,
            problem,
        }
    }

    /// The error of a response that breaks the protocol.
    pub(crate) fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Malformed {
            step: self.step,
            method: self.method.clone(),
            url: Box::new(self.url.clone()),
            status: self.status(),
            what: what.into(),
        }
    }

    fn interrupted(&self, problem: ConnectionError, source: RootCause) -> Error {
        Error::Connection {
            step: self.step,
            origin: origin(&self.url),
            problem,
            source,
        }
    }
}
