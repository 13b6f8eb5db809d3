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
use crate::authorize::decision_cache::{DecisionCache, GrantedActions};
use crate::authorize::question::{Question, probe_query};
use crate::authorize::{AuthorizeError, Authorizer, Decision};

/// A program that decides and answers lines.
pub struct ExtAuthzLines {
    program: LineProgram,
    remembered: DecisionCache,
}

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

impl ExtAuthzLines {
    /// Asks `program`. Answers are remembered by `clock`.
    #[must_use]
    pub fn new(program: LineProgram, clock: Arc<dyn Clock>) -> Self {
        Self {
            program,
            remembered: DecisionCache::new(clock),
        }
    }

    async fn ask(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<Option<Decision>, AuthorizeError> {
        let question = Question::about(query);
        let key = DecisionCache::key(&question.to_json());
        if let Some(granted) = self.remembered.get(&key) {
            return Ok(Decision::of_policy(NAME, granted));
        }
        let DecisionLine {
            result,
            actions,
            max_age,
            message,
        } = self
            .program
            .ask(source, &question, "")
            .await
            .map_err(not_answered)?;
        let granted: GrantedActions = match (result, actions) {
            (Some(DecisionResult::Error), _) => {
                return Err(failed(ExtAuthzLinesError::Reported(message)));
            }
            (Some(DecisionResult::Unknown), _) => None,
            (None, Some(actions)) => Some(query.granting(&actions)),
            (None, None) => return Err(failed(ExtAuthzLinesError::Empty)),
        };
        let period = Duration::from_secs(max_age.unwrap_or_default());
        self.remembered.insert(key, &granted, period);
        Ok(Decision::of_policy(NAME, granted))
    }
}

impl Authorizer for ExtAuthzLines {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        Box::pin(self.ask(query, source))
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, AuthorizeError>> {
        Box::pin(async {
            let source = LoginSource::new(None, "");
            self.ask(&probe_query(), &source).await?;
            Ok(Some("its program answers".to_owned()))
        })
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
