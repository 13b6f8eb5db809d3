//! `ext_auth`: a program that is given name and password.
//!
//! On its standard input it finds `user password`, without a newline. Its exit code answers: 0
//! accepted, 1 refused, 2 not known here, and anything else is an error. When it accepts it may
//! print `{"labels": {"name": ["value"]}}`. All of it is as in `docker_auth`, except that an
//! acceptance is remembered for `login.remember`. A name with a space in it cannot be told from a
//! shorter name with a longer password: that is the form, and a program may look at it twice.

mod response;

use std::sync::Arc;

use policy::{Labels, Subject};
use zeroize::Zeroizing;

use self::response::ResponseError;
use crate::process::{ProcessError, ProcessOutput, Program, RETRY_AFTER};
use crate::verifier::PasswordVerifier;
use crate::{
    AccountHint, AuthFuture, AuthenticationError, AuthenticationOutcome, Authenticator,
    BackendError, Credentials, Identity, LoginSource, Recheck,
};

/// A program that knows accounts.
pub struct ExtAuth {
    program: Program,
    verifier: Arc<PasswordVerifier>,
}

impl ExtAuth {
    /// A backend that asks `program`; what it refuses, `verifier` makes as slow as any refusal.
    #[must_use]
    pub fn new(program: Program, verifier: Arc<PasswordVerifier>) -> Self {
        Self { program, verifier }
    }

    async fn answer(
        &self,
        credentials: &Credentials,
        origin: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let input = Zeroizing::new(format!(
            "{} {}",
            credentials.account,
            credentials.password.expose()
        ));
        let finished = match self.program.run(input.as_bytes()).await {
            Ok(finished) => finished,
            Err(ProcessError::Busy) => return Err(AuthenticationError::Busy(RETRY_AFTER)),
            Err(error) => return Err(failed(ExtAuthError::Process(error))),
        };
        match finished.code {
            0 => {
                let labels = response::labels(&finished.output)
                    .map_err(|error| failed(ExtAuthError::Response(error)))?;
                Ok(AuthenticationOutcome::Accepted(accepted(
                    credentials,
                    labels,
                )))
            }
            1 => Ok(AuthenticationOutcome::Rejected(
                self.verifier.refuse(credentials, origin).await?,
            )),
            2 => Ok(AuthenticationOutcome::NoMatch),
            _ => Err(failed(unexpected(&finished, credentials))),
        }
    }
}

impl Authenticator for ExtAuth {
    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        origin: &'a LoginSource,
    ) -> AuthFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.answer(credentials, origin))
    }

    fn recheck<'a>(&'a self, _: &'a str) -> AuthFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(std::future::ready(Ok(Recheck::Unknown)))
    }
}

/// What went wrong with the program.
#[derive(Debug, thiserror::Error)]
enum ExtAuthError {
    #[error("its program failed")]
    Process(#[source] ProcessError),
    #[error("its program accepted, but did not print what it should")]
    Response(#[source] ResponseError),
    #[error(
        "its program ended with exit code {code}, which is none of 0, 1 and 2; it said: {complaint:?}"
    )]
    Code { code: i32, complaint: String },
}

fn failed(error: ExtAuthError) -> AuthenticationError {
    AuthenticationError::Backend(BackendError {
        backend: "ext_auth",
        source: Box::new(error),
    })
}

fn accepted(credentials: &Credentials, labels: Labels) -> Identity {
    Identity {
        subject: Subject {
            account: credentials.account.clone(),
            labels,
        },
        credential: None,
    }
}

/// The error for an exit code without a meaning.
fn unexpected(finished: &ProcessOutput, credentials: &Credentials) -> ExtAuthError {
    ExtAuthError::Code {
        code: finished.code,
        complaint: finished.complaint_without(credentials.password.expose()),
    }
}
