//! `docker_auth`'s `ext_authz`: a program that says what an account may do.

mod lines;

use std::sync::Arc;
use std::time::Duration;

use common::{BoxFuture, Clock};
use identity::LoginSource;
use identity::process::{ProcessError, Program};
use policy::AclQuery;

use super::AuthorizeError;
use super::external_policy::{ExternalPolicy, PolicyAnswer, PolicyRespondent};
use super::question::Question;

const NAME: &str = "ext_authz";

/// The program of `ext_authz`. It reads one JSON object on standard input. Its exit code is the
/// answer: 0 grants all that was asked and 1 nothing of it.
struct DecisionProgram(Program);

/// Why the program has no answer.
#[derive(Debug, thiserror::Error)]
enum ExtAuthzError {
    #[error("the program could not be run to its end")]
    Process(#[source] ProcessError),
    #[error(
        "the program ended with code {code}, not 0 (grant all) or 1 (grant nothing); its standard error: {stderr:?}"
    )]
    Code { code: i32, stderr: String },
}

impl ExternalPolicy {
    /// `ext_authz`: asks `program` for every decision.
    #[must_use]
    pub fn ext_authz(program: Program, clock: Arc<dyn Clock>) -> Self {
        Self::new(DecisionProgram(program), clock)
    }
}

impl DecisionProgram {
    async fn run(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<PolicyAnswer, AuthorizeError> {
        let question = Question::about(query).to_go_json();
        let output = self.0.run(source, question.as_bytes()).await;
        let output = output.map_err(not_run)?;
        let granted = match output.code {
            0 => query.actions.to_vec(),
            1 => Vec::new(),
            code => {
                let stderr = output.stderr;
                return Err(failed(ExtAuthzError::Code { code, stderr }));
            }
        };
        Ok(PolicyAnswer {
            granted: Some(granted),
            max_age: Duration::ZERO,
        })
    }
}

impl PolicyRespondent for DecisionProgram {
    fn section(&self) -> &'static str {
        NAME
    }

    fn ask<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<PolicyAnswer, AuthorizeError>> {
        Box::pin(self.run(query, source))
    }

    fn describe(&self, _: &PolicyAnswer) -> String {
        "its program answers".to_owned()
    }
}

fn not_run(error: ProcessError) -> AuthorizeError {
    match error {
        ProcessError::Busy => AuthorizeError::Busy { policy: NAME },
        ProcessError::Start { .. }
        | ProcessError::Limit { .. }
        | ProcessError::Output
        | ProcessError::Signal { .. }
        | ProcessError::Lost(_) => failed(ExtAuthzError::Process(error)),
    }
}

fn failed(error: ExtAuthzError) -> AuthorizeError {
    AuthorizeError::Policy {
        policy: NAME,
        source: error.into(),
    }
}
