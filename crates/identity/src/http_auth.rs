//! `http_auth`: a server that is asked about a name and a password.
//!
//! It gets the [question](crate::login_question) by POST. Its status is the answer: 200 accepts, 401
//! and 403 reject, 404 means that it does not know the account. Any other is an error. The body of
//! 200 must be a JSON object, perhaps with labels: a page of a proxy in between lets no client in.

use std::sync::Arc;

use common::BoxFuture;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::http::{self, BackendUrl, HttpAnswer, HttpClient, HttpClientError, JsonPlace};
use crate::login_question::{LoginAnswer, LoginQuestion, RecheckQuestion};
use crate::process::RETRY_AFTER;
use crate::verifier::PasswordVerifier;
use crate::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    LoginSource, Proof, Recheck,
};

const NAME: &str = "http_auth";

/// A server that knows accounts.
pub struct HttpAuth {
    client: HttpClient,
    verifier: Arc<PasswordVerifier>,
    rechecks: bool,
}

impl HttpAuth {
    /// A backend that asks `client`. What the server rejects, `verifier` makes as slow as every
    /// rejection.
    #[must_use]
    pub fn new(client: HttpClient, verifier: Arc<PasswordVerifier>) -> Self {
        Self {
            client,
            verifier,
            rechecks: false,
        }
    }

    /// The same backend, whose server answers rechecks, too.
    #[must_use]
    pub fn rechecking(self, rechecks: bool) -> Self {
        Self { rechecks, ..self }
    }

    async fn log_in(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let Some(question) = LoginQuestion::about(proof, source) else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let answer = self.ask(source, &question).await;
        let answer = answer.map_err(|error| match error {
            HttpAuthError::Client(HttpClientError::Busy(_)) => {
                AuthenticationError::Busy(RETRY_AFTER)
            }
            other => other.into_backend_error().into(),
        })?;
        answer.outcome(NAME, proof, source, &self.verifier).await
    }

    async fn look_up(&self, account: &str) -> Result<Recheck, BackendError> {
        if !self.rechecks {
            return Ok(Recheck::Unknown);
        }
        if account.is_empty() {
            return Ok(Recheck::NoMatch);
        }
        let source = LoginSource::new(None, account);
        let answer = self.ask(&source, &RecheckQuestion::about(account)).await;
        let answer = answer.map_err(HttpAuthError::into_backend_error)?;
        Ok(answer.recheck(account))
    }

    async fn ask(
        &self,
        source: &LoginSource,
        question: &impl Serialize,
    ) -> Result<LoginAnswer, HttpAuthError> {
        let HttpAnswer { status, body, .. } = self.client.post(source, &json(question)).await?;
        match status {
            200 => match http::json_object(&body) {
                Ok(accepted) => Ok(LoginAnswer::Accepted(accepted)),
                Err(place) => {
                    let url = self.client.url().clone();
                    Err(HttpAuthError::Answer { url, place })
                }
            },
            401 | 403 => Ok(LoginAnswer::Rejected),
            404 => Ok(LoginAnswer::NoMatch),
            status => Err(HttpAuthError::Status {
                url: self.client.url().clone(),
                status,
            }),
        }
    }

    async fn try_connection(&self) -> Result<String, BackendError> {
        let source = LoginSource::new(None, "");
        let answer = self.ask(&source, &LoginQuestion::probe()).await;
        let url = self.client.url();
        match answer {
            Ok(LoginAnswer::Accepted(_)) => {
                let url = url.clone();
                Err(BackendError::broken(
                    NAME,
                    HttpAuthError::AcceptsAll { url },
                ))
            }
            Ok(LoginAnswer::Rejected) => Ok(format!("{url} rejects an empty name")),
            Ok(LoginAnswer::NoMatch) => Ok(format!("{url} does not know an empty name (404)")),
            // A server may find an empty name malformed.
            Err(HttpAuthError::Status {
                status: status @ (400 | 422),
                ..
            }) => Ok(format!("{url} refuses an empty name ({status})")),
            Err(error) => Err(error.into_backend_error()),
        }
    }
}

impl Authenticator for HttpAuth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn hint(&self, account: &str) -> AccountHint {
        match account {
            "" => AccountHint::NoMatch,
            _ => AccountHint::NeedsProof,
        }
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.log_in(proof, source))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(self.look_up(account))
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(async { self.try_connection().await.map(Some) })
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

impl HttpAuthError {
    fn into_backend_error(self) -> BackendError {
        match self {
            Self::Client(error) if error.may_pass() => BackendError::unavailable(NAME, error),
            Self::Client(error) => BackendError::broken(NAME, error),
            other => BackendError::broken(NAME, other),
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
