//! `ext_auth`: a program that is given a name and a password.
//!
//! Its standard input is `user password`, without a newline. Its exit code is the answer: 0 accepts,
//! 1 rejects, 2 means that it does not know the account, and any other is an error. When it accepts
//! it may print `{"labels": {"name": ["value"]}}`. All of this is as in `docker_auth`, except that
//! an accepted login is remembered for `login.remember`.
//!
//! A program cannot tell a name with a space from a shorter name and a longer password. It might
//! accept another account than the one that rules and limits see. So it is not asked about names
//! with white space, unless the configuration allows them.

mod lines;
mod response;

use std::sync::Arc;

use common::BoxFuture;
use policy::Subject;
use zeroize::Zeroizing;

use self::response::ResponseError;
use crate::process::{ProcessError, Program};
use crate::verifier::PasswordVerifier;
use crate::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    Credentials, Identity, LoginSource, Proof, RETRY_AFTER, Recheck,
};

/// A program that knows accounts.
pub struct ExtAuth {
    program: Program,
    verifier: Arc<PasswordVerifier>,
    allows_white_space: bool,
}

impl ExtAuth {
    /// A backend that asks `program`. What the program rejects, `verifier` makes as slow as every
    /// rejection.
    #[must_use]
    pub fn new(program: Program, verifier: Arc<PasswordVerifier>) -> Self {
        Self {
            program,
            verifier,
            allows_white_space: false,
        }
    }

    /// The same backend, which asks its program about names with white space, too.
    #[must_use]
    pub fn allowing_white_space(self, allows_white_space: bool) -> Self {
        Self {
            allows_white_space,
            ..self
        }
    }

    /// Asks as an anonymous client would.
    async fn try_program(&self) -> Result<String, BackendError> {
        let source = LoginSource::new(None, "");
        let output = self.program.run(&source, b" ").await;
        let output = output
            .map_err(|error| BackendError::unavailable("ext_auth", ExtAuthError::Process(error)))?;
        match output.code {
            0 => Ok("its program accepts anonymous clients".to_owned()),
            1 => Ok("its program rejects anonymous clients".to_owned()),
            2 => Ok("its program does not know anonymous clients".to_owned()),
            code => {
                let stderr = output.stderr_without("");
                let error = ExtAuthError::Code { code, stderr };
                Err(BackendError::broken("ext_auth", error))
            }
        }
    }

    async fn answer(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let Some(credentials) = proof.password().filter(|it| self.is_unambiguous(it)) else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let Credentials { account, password } = credentials;
        let input = Zeroizing::new(format!("{account} {}", password.expose()));
        let output = self.program.run(source, input.as_bytes()).await;
        let output = output.map_err(not_run)?;
        match output.code {
            0 => {
                let labels = response::labels(&output.stdout)
                    .map_err(|error| failed(ExtAuthError::Response(error)))?;
                let account = account.clone();
                Ok(AuthenticationOutcome::Accepted(Identity::new(Subject {
                    account,
                    labels,
                })))
            }
            1 => Ok(AuthenticationOutcome::Rejected(
                self.verifier.reject(proof, source).await?,
            )),
            2 => Ok(AuthenticationOutcome::NoMatch),
            code => Err(failed(ExtAuthError::Code {
                code,
                stderr: output.stderr_without(password.expose()),
            })),
        }
    }

    /// Whether the program finds the same name in its input as everything else sees. A password
    /// without a name would look like a name.
    fn is_unambiguous(&self, credentials: &Credentials) -> bool {
        let Credentials { account, .. } = credentials;
        if account.is_empty() {
            return credentials.is_anonymous();
        }
        self.allows_white_space || !account.contains(char::is_whitespace)
    }
}

impl Authenticator for ExtAuth {
    fn name(&self) -> &'static str {
        "ext_auth"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.answer(proof, source))
    }

    fn recheck<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(std::future::ready(Ok(Recheck::Unknown)))
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(async { self.try_program().await.map(Some) })
    }
}

/// What went wrong with the program.
#[derive(Debug, thiserror::Error)]
enum ExtAuthError {
    #[error("its program failed")]
    Process(#[source] ProcessError),
    #[error("its program accepted, but its output is wrong")]
    Response(#[source] ResponseError),
    #[error(
        "its program ended with exit code {code}, not 0 (accept), 1 (reject) or 2 (unknown account); \
         its standard error: {stderr:?}"
    )]
    Code { code: i32, stderr: String },
}

fn not_run(error: ProcessError) -> AuthenticationError {
    match error {
        ProcessError::Busy => AuthenticationError::Busy(RETRY_AFTER),
        ProcessError::Start { .. }
        | ProcessError::Limit { .. }
        | ProcessError::Output
        | ProcessError::Signal { .. }
        | ProcessError::Lost(_) => failed(ExtAuthError::Process(error)),
    }
}

fn failed(error: ExtAuthError) -> AuthenticationError {
    AuthenticationError::Backend(BackendError::broken("ext_auth", error))
}
