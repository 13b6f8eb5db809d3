//! `http_auth`: a server that is asked about a name and a password.
//!
//! It gets the [question](crate::login_question) by POST. Its status is the answer: 200 accepts, 401
//! and 403 reject, 404 means that it does not know the account. Any other is an error. The body of
//! 200 must be a JSON object, perhaps with labels: a page of a proxy in between lets no client in.

use std::sync::Arc;

use common::BoxFuture;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::external_backend::{LoginRespondent, NoAnswer};
use crate::http::{self, BackendUrl, HttpAnswer, HttpClient, HttpClientError, JsonPlace};
use crate::login_question::{LoginAnswer, LoginQuestion};
use crate::verifier::PasswordVerifier;
use crate::{BackendError, ExternalBackend, LoginSource};

const NAME: &str = "http_auth";

/// A server that is asked over HTTP.
struct LoginServer(HttpClient);

impl ExternalBackend {
    /// `http_auth`: a backend that asks `client`. What the server rejects, `verifier` makes as slow
    /// as every rejection.
    #[must_use]
    pub fn http_auth(client: HttpClient, verifier: Arc<PasswordVerifier>) -> Self {
        Self::new(LoginServer(client), verifier)
    }
}

impl LoginServer {
    async fn ask(
        &self,
        source: &LoginSource,
        question: &LoginQuestion<'_>,
    ) -> Result<LoginAnswer, HttpAuthError> {
        let HttpAnswer { status, body, .. } = self.0.post(source, &json(question)).await?;
        match status {
            200 => match http::json_object(&body) {
                Ok(accepted) => Ok(LoginAnswer::Accepted(accepted)),
                Err(place) => {
                    let url = self.0.url().clone();
                    Err(HttpAuthError::Answer { url, place })
                }
            },
            401 | 403 => Ok(LoginAnswer::Rejected),
            404 => Ok(LoginAnswer::NoMatch),
            status => Err(HttpAuthError::Status {
                url: self.0.url().clone(),
                status,
            }),
        }
    }

    async fn try_connection(&self) -> Result<String, BackendError> {
        let source = LoginSource::new(None, "");
        let answer = self.ask(&source, &LoginQuestion::probe()).await;
        let url = self.0.url();
        match answer {
            Ok(LoginAnswer::Accepted(_)) => {
                let url = url.clone();
                Err(HttpAuthError::AcceptsAll { url }.into())
            }
            Ok(LoginAnswer::Rejected) => Ok(format!("{url} rejects an empty name")),
            Ok(LoginAnswer::NoMatch) => Ok(format!("{url} does not know an empty name (404)")),
            // A server may find an empty name malformed.
            Err(HttpAuthError::Status {
                status: status @ (400 | 422),
                ..
            }) => Ok(format!("{url} refuses an empty name ({status})")),
            Err(error) => Err(error.into()),
        }
    }
}

impl LoginRespondent for LoginServer {
    fn section(&self) -> &'static str {
        NAME
    }

    fn ask<'a>(
        &'a self,
        source: &'a LoginSource,
        question: &'a LoginQuestion<'a>,
    ) -> BoxFuture<'a, Result<LoginAnswer, NoAnswer>> {
        Box::pin(async move {
            let answer = self.ask(source, question).await;
            answer.map_err(|error| NoAnswer {
                is_busy: matches!(error, HttpAuthError::Client(HttpClientError::Busy(_))),
                error: error.into(),
            })
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, BackendError>> {
        Box::pin(self.try_connection())
    }
}

/// What went wrong with the server.
#[derive(Debug, thiserror::Error)]
enum HttpAuthError {
    #[error(transparent)]
    Client(#[from] HttpClientError),
    #[error(
        "{url} answered {status}, not 200 (accept), 401 or 403 (reject) or 404 (unknown account){}",
        note(*status)
    )]
    Status { url: BackendUrl, status: u16 },
    /// The answer is not shown, because it may hold the password.
    #[error(
        "{url} accepted, but its answer is wrong at {place}: it must be JSON of the form {}",
        r#"{"labels": {"name": ["value"]}}"#
    )]
    Answer { url: BackendUrl, place: JsonPlace },
    #[error("{url} accepts an empty name with an empty password: it lets everyone in")]
    AcceptsAll { url: BackendUrl },
}

impl From<HttpAuthError> for BackendError {
    fn from(error: HttpAuthError) -> Self {
        match error {
            HttpAuthError::Client(error) if error.may_pass() => Self::unavailable(NAME, error),
            HttpAuthError::Client(error) => Self::broken(NAME, error),
            other => Self::broken(NAME, other),
        }
    }
}

/// What to add about a status that is a common mistake.
fn note(status: u16) -> &'static str {
    match status {
        300..=399 => "; redirects are not followed, so configure the URL that it redirects to",
        _ => "",
    }
}

fn json(question: &impl Serialize) -> Zeroizing<Vec<u8>> {
    #[expect(clippy::expect_used, reason = "questions are structs of strings")]
    let json = serde_json::to_vec(question).expect("a question is plain data");
    Zeroizing::new(json)
}
