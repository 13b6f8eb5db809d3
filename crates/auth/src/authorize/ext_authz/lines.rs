//! `ext_authz` with `mode: lines`: a program that stays, so that no process is started for a
//! decision.
//!
//! It reads the question with an `id`, a line of JSON each, and answers a line of JSON with the same
//! `id`: `actions` are granted if they were asked for; `"result": "unknown"` means that it has no
//! answer, and `"result": "error"` that it failed. `max_age` lets the answer be remembered for so
//! many seconds.

use std::sync::Arc;
use std::time::Duration;

use common::{BoxFuture, Clock};
use identity::LoginSource;
use identity::process::{LineProgram, LineProgramError};
use policy::AclQuery;
use serde::Deserialize;

use super::NAME;
use crate::authorize::AuthorizeError;
use crate::authorize::external_policy::{ExternalPolicy, PolicyAnswer, PolicyRespondent};
use crate::authorize::question::Question;

/// A program that decides and answers lines.
struct DecisionLines(LineProgram);

/// A line of the program. Other members are ignored.
#[derive(Deserialize)]
struct DecisionLine {
    result: Option<DecisionResult>,
    actions: Option<Vec<String>>,
    max_age: Option<u64>,
    /// Why the result is an error, for the log.
    #[serde(default)]
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DecisionResult {
    Unknown,
    Error,
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
enum ExtAuthzLinesError {
    #[error("its program has no answer")]
    Program(#[source] LineProgramError),
    #[error("its program reports an error: {0:?}")]
    Reported(String),
    #[error("its program answered with neither `actions` nor a `result`")]
    Empty,
}

impl ExternalPolicy {
    /// `ext_authz` with `mode: lines`: asks `program`. Answers are remembered by `clock`.
    #[must_use]
    pub fn ext_authz_lines(program: LineProgram, clock: Arc<dyn Clock>) -> Self {
        Self::new(DecisionLines(program), clock)
    }
}

impl DecisionLines {
    async fn exchange(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<PolicyAnswer, AuthorizeError> {
        let answer = self.0.ask(source, &Question::about(query), "").await;
        let DecisionLine {
            result,
            actions,
            max_age,
            message,
        } = answer.map_err(not_answered)?;
        let granted = match (result, actions) {
            (Some(DecisionResult::Error), _) => {
                return Err(failed(ExtAuthzLinesError::Reported(message)));
            }
            (Some(DecisionResult::Unknown), _) => None,
            (None, Some(actions)) => Some(query.granting(&actions)),
            (None, None) => return Err(failed(ExtAuthzLinesError::Empty)),
        };
        Ok(PolicyAnswer {
            granted,
            max_age: Duration::from_secs(max_age.unwrap_or_default()),
        })
    }
}

impl PolicyRespondent for DecisionLines {
    fn section(&self) -> &'static str {
        NAME
    }

    fn ask<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<PolicyAnswer, AuthorizeError>> {
        Box::pin(self.exchange(query, source))
    }

    fn describe(&self, _: &PolicyAnswer) -> String {
        "its program answers".to_owned()
    }
}

fn not_answered(error: LineProgramError) -> AuthorizeError {
    match error {
        LineProgramError::Busy => AuthorizeError::Busy { policy: NAME },
        error if error.may_pass() => AuthorizeError::Unavailable {
            policy: NAME,
            source: ExtAuthzLinesError::Program(error).into(),
        },
        error => failed(ExtAuthzLinesError::Program(error)),
    }
}

fn failed(error: ExtAuthzLinesError) -> AuthorizeError {
    AuthorizeError::Policy {
        policy: NAME,
        source: error.into(),
    }
}
