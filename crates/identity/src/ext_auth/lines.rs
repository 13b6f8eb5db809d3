//! `ext_auth` with `mode: lines`: a program that stays, so that no process is started for a login.
//!
//! It reads the [question](crate::login_question) with an `id`, a line of JSON each, and answers a
//! line of JSON with the same `id` and a `result`: `accept`, `reject`, `unknown` or `error`.

use std::sync::Arc;

use common::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::login_question::{AcceptedAnswer, LoginAnswer, LoginQuestion, RecheckQuestion};
use crate::process::{LineProgram, LineProgramError, RETRY_AFTER};
use crate::verifier::PasswordVerifier;
use crate::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    LoginSource, Proof, Recheck,
};

const NAME: &str = "ext_auth";

/// A program that knows accounts and answers lines.
pub struct ExtAuthLines {
    program: LineProgram,
    verifier: Arc<PasswordVerifier>,
    rechecks: bool,
}

/// A line of the program.
#[derive(Deserialize)]
struct AnswerLine {
    result: LineResult,
    /// Why the result is an error, for the log.
    #[serde(default)]
    message: String,
    #[serde(flatten)]
    accepted: AcceptedAnswer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineResult {
    Accept,
    Reject,
    Unknown,
    Error,
}

impl ExtAuthLines {
    /// A backend that asks `program`. What the program rejects, `verifier` makes as slow as every
    /// rejection.
    #[must_use]
    pub fn new(program: LineProgram, verifier: Arc<PasswordVerifier>) -> Self {
        Self {
            program,
            verifier,
            rechecks: false,
        }
    }

    /// The same backend, whose program answers rechecks, too.
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
        let answer = self.ask(source, &question, question.secret()).await;
        let answer = answer.map_err(|error| match error {
            LinesError::Program(LineProgramError::Busy) => AuthenticationError::Busy(RETRY_AFTER),
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
        let question = RecheckQuestion::about(account);
        let answer = self.ask(&source, &question, "").await;
        let answer = answer.map_err(LinesError::into_backend_error)?;
        Ok(answer.recheck(account))
    }

    async fn ask(
        &self,
        source: &LoginSource,
        question: &(impl Serialize + Sync),
        secret: &str,
    ) -> Result<LoginAnswer, LinesError> {
        let AnswerLine {
            result,
            message,
            accepted,
        } = self.program.ask(source, question, secret).await?;
        match result {
            LineResult::Accept => Ok(LoginAnswer::Accepted(accepted)),
            LineResult::Reject => Ok(LoginAnswer::Rejected),
            LineResult::Unknown => Ok(LoginAnswer::NoMatch),
            LineResult::Error => Err(LinesError::Reported {
                message: match secret {
                    "" => message,
                    secret => message.replace(secret, "…"),
                },
            }),
        }
    }

    async fn try_program(&self) -> Result<String, BackendError> {
        let source = LoginSource::new(None, "");
        match self.ask(&source, &LoginQuestion::probe(), "").await {
            Ok(LoginAnswer::Accepted(_)) => Err(BackendError::broken(NAME, LinesError::AcceptsAll)),
            Ok(LoginAnswer::Rejected) => Ok("its program rejects an empty name".to_owned()),
            Ok(LoginAnswer::NoMatch) => Ok("its program does not know an empty name".to_owned()),
            Err(error) => Err(error.into_backend_error()),
        }
    }
}

impl Authenticator for ExtAuthLines {
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
        Box::pin(async { self.try_program().await.map(Some) })
    }
}

/// What went wrong with the program.
#[derive(Debug, thiserror::Error)]
enum LinesError {
    #[error("its program has no answer")]
    Program(#[from] LineProgramError),
    #[error("its program reports an error: {message:?}")]
    Reported { message: String },
    #[error("its program accepts an empty name with an empty password: it lets everyone in")]
    AcceptsAll,
}

impl LinesError {
    fn into_backend_error(self) -> BackendError {
        match self {
            Self::Program(ref error) if error.may_pass() => BackendError::unavailable(NAME, self),
            other => BackendError::broken(NAME, other),
        }
    }
}
