//! `docker_auth`'s `ext_authz`: a program that says what an account may do.

mod lines;

use common::BoxFuture;
use identity::LoginSource;
use identity::process::{ProcessError, Program};
use policy::AclQuery;

pub use self::lines::ExtAuthzLines;
use super::question::{Question, probe_query};
use super::{AuthorizeError, Authorizer, Decision};

const NAME: &str = "ext_authz";

/// The program of `ext_authz`. It reads one JSON object on standard input. Its exit code is the
/// answer: 0 grants all that was asked and 1 nothing of it.
pub struct ExtAuthz {
    program: Program,
}

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

impl ExtAuthz {
    /// Asks `program` for every decision.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self { program }
    }

    async fn ask(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<Option<Decision>, AuthorizeError> {
        let question = Question::about(query).to_go_json();
        let output = self.program.run(source, question.as_bytes()).await;
        let output = output.map_err(not_run)?;
        let granted = match output.code {
            0 => query.actions.to_vec(),
            1 => Vec::new(),
            code => {
                let stderr = output.stderr;
                return Err(failed(ExtAuthzError::Code { code, stderr }));
            }
        };
        Ok(Decision::of_policy(NAME, Some(granted)))
    }
}

impl Authorizer for ExtAuthz {
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
