//! `ext_auth` with `mode: lines`: a program that stays, so that no process is started for a login.
//!
//! It reads the [question](crate::login_question) with an `id`, a line of JSON each, and answers a
//! line of JSON with the same `id` and a `result`: `accept`, `reject`, `unknown` or `error`.

use std::sync::Arc;

use common::BoxFuture;
use serde::Deserialize;

use crate::external_backend::{LoginRespondent, NoAnswer};
use crate::login_question::{AcceptedAnswer, LoginAnswer, LoginQuestion};
use crate::process::{LineProgram, LineProgramError};
use crate::verifier::PasswordVerifier;
use crate::{BackendError, ExternalBackend, LoginSource};

const NAME: &str = "ext_auth";

/// A program that answers lines.
struct LoginProgram(LineProgram);

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

impl ExternalBackend {
    /// `ext_auth` with `mode: lines`: a backend that asks `program`. What the program rejects,
    /// `verifier` makes as slow as every rejection.
    #[must_use]
    pub fn ext_auth_lines(program: LineProgram, verifier: Arc<PasswordVerifier>) -> Self {
        Self::new(LoginProgram(program), verifier)
    }
}

impl LoginProgram {
    async fn ask(
        &self,
        source: &LoginSource,
        question: &LoginQuestion<'_>,
    ) -> Result<LoginAnswer, LinesError> {
        let secret = question.secret();
        let AnswerLine {
            result,
            message,
            accepted,
        } = self.0.ask(source, question, secret).await?;
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
        match self.ask(&source, &LoginQuestion::probe()).await {
            Ok(LoginAnswer::Accepted(_)) => Err(LinesError::AcceptsAll.into()),
            Ok(LoginAnswer::Rejected) => Ok("its program rejects an empty name".to_owned()),
            Ok(LoginAnswer::NoMatch) => Ok("its program does not know an empty name".to_owned()),
            Err(error) => Err(error.into()),
        }
    }
}

impl LoginRespondent for LoginProgram {
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
                is_busy: matches!(error, LinesError::Program(LineProgramError::Busy)),
                error: error.into(),
            })
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, BackendError>> {
        Box::pin(self.try_program())
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

impl From<LinesError> for BackendError {
    fn from(error: LinesError) -> Self {
        match error {
            LinesError::Program(ref cause) if cause.may_pass() => Self::unavailable(NAME, error),
            other => Self::broken(NAME, other),
        }
    }
}
