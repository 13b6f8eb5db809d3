//! An answer whose body is read with care: never more than expected, never for ever.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, SERVER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::retry::retry_after;
use super::{ConnectionError, RootCause};
use crate::error_response::origin;
use crate::{Error, ErrorResponse, Step};

/// How long a server may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(60);
/// How long an answer that is read whole may take to come.
const WHOLE: Duration = Duration::from_secs(300);
/// The longest body of a refusal that is read, in bytes.
const LONGEST_ERROR: usize = 64 * 1024;

/// An answer whose body has not been read.
pub(crate) struct HttpResponse {
    pub(crate) step: Step,
    pub(crate) method: Method,
    /// Who answered: after redirects, not whom was asked first.
    pub(crate) url: Url,
    pub(crate) response: Response,
    /// When it came.
    pub(crate) at: SystemTime,
}

impl HttpResponse {
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

    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.headers(), self.at)
    }

    /// The next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let failed = |problem, source| Error::Connection {
            step: self.step,
            origin: origin(&self.url),
            problem,
            source,
        };
        match tokio::time::timeout(SILENCE, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(failed(ConnectionError::Broken, RootCause::of(&error))),
            Err(_) => Err(failed(
                ConnectionError::Timeout,
                RootCause::saying("silence in the middle of an answer"),
            )),
        }
    }

    /// The whole body, which must not have more than `limit` bytes, nor come by drops.
    pub(crate) async fn bytes(&mut self, limit: usize) -> Result<Bytes, Error> {
        match tokio::time::timeout(WHOLE, self.collect(limit)).await {
            Ok(body) => body,
            Err(_) => {
                let (origin, source) = (
                    origin(&self.url),
                    RootCause::saying("a small answer that does not end"),
                );
                Err(Error::Connection {
                    step: self.step,
                    origin,
                    problem: ConnectionError::Timeout,
                    source,
                })
            }
        }
    }

    async fn collect(&mut self, limit: usize) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(self.malformed(format!("with more than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The whole body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self, limit: usize) -> Result<T, Error> {
        let body = self.bytes(limit).await?;
        serde_json::from_slice(&body)
            .map_err(|error| self.malformed(format!("with something else than asked: {error}")))
    }

    /// This answer when it is a success, else the error that it is.
    pub(crate) async fn success(self) -> Result<Self, Error> {
        if self.status().is_success() {
            Ok(self)
        } else {
            Err(self.failure(None).await)
        }
    }

    /// The error that an answer without success is. `account` is who asks, where a login stood
    /// behind it.
    pub(crate) async fn failure(self, account: Option<&str>) -> Error {
        let step = self.step;
        let source = Box::new(self.error_response().await);
        let login_matters = step != Step::Elsewhere;
        match source.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if login_matters => Error::Denied {
                step,
                logged_in: account.is_some(),
                source,
            },
            StatusCode::NOT_FOUND => Error::NotFound { step, source },
            _ => Error::ErrorResponse { step, source },
        }
    }

    /// What it says, when it says no. A body that breaks off says what it said until then.
    pub(crate) async fn error_response(mut self) -> ErrorResponse {
        let mut body = Vec::new();
        let reading = async {
            while body.len() < LONGEST_ERROR
                && let Ok(Some(chunk)) = self.chunk().await
            {
                body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ERROR - body.len())]);
            }
        };
        let _ = tokio::time::timeout(SILENCE, reading).await;
        let (errors, text) = ErrorResponse::errors_of(&body);
        ErrorResponse {
            server: self
                .headers()
                .get(SERVER)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            retry_after: self.retry_after(),
            status: self.status(),
            method: self.method,
            url: self.url,
            errors,
            text,
        }
    }

    /// The error of an answer that is not what the protocol says.
    pub(crate) fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Malformed {
            step: self.step,
            method: self.method.clone(),
            url: Box::new(self.url.clone()),
            status: self.status(),
            what: what.into(),
        }
    }
}
