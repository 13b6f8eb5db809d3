//! A backend that asks a server or a program of the operator about each login.
//!
//! `http_auth` and `ext_auth` with `mode: lines` differ only in how they are asked
//! ([`LoginRespondent`]). The [questions](crate::login_question) are the same.

use std::sync::Arc;

use common::BoxFuture;

use crate::login_question::{LoginAnswer, LoginQuestion};
use crate::verifier::PasswordVerifier;
use crate::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    LoginSource, Proof, RETRY_AFTER, Recheck,
};

/// A server or a program that knows accounts.
pub struct ExternalBackend {
    respondent: Box<dyn LoginRespondent>,
    verifier: Arc<PasswordVerifier>,
    rechecks: bool,
}

/// A server or a program that answers questions about logins.
pub(crate) trait LoginRespondent: Send + Sync {
    /// Its section in the configuration.
    fn section(&self) -> &'static str;

    /// Asks one question, in turn by `source`.
    fn ask<'a>(
        &'a self,
        source: &'a LoginSource,
        question: &'a LoginQuestion<'a>,
    ) -> BoxFuture<'a, Result<LoginAnswer, NoAnswer>>;

    /// Asks what no server or program may accept, and says what it answered.
    fn probe(&self) -> BoxFuture<'_, Result<String, BackendError>>;
}

/// Why there is no answer.
pub(crate) struct NoAnswer {
    pub(crate) error: BackendError,
    /// Whether the only reason is that too many others wait.
    pub(crate) is_busy: bool,
}

impl ExternalBackend {
    /// A backend that asks `respondent`. What it rejects, `verifier` makes as slow as every
    /// rejection.
    pub(crate) fn new(
        respondent: impl LoginRespondent + 'static,
        verifier: Arc<PasswordVerifier>,
    ) -> Self {
        Self {
            respondent: Box::new(respondent),
            verifier,
            rechecks: false,
        }
    }

    /// The same backend, whose server or program answers rechecks, too.
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
        let answer = self.respondent.ask(source, &question).await;
        let answer = answer.map_err(|NoAnswer { error, is_busy }| match is_busy {
            true => AuthenticationError::Busy(RETRY_AFTER),
            false => error.into(),
        })?;
        answer
            .outcome(self.name(), proof, source, &self.verifier)
            .await
    }

    async fn look_up(&self, account: &str) -> Result<Recheck, BackendError> {
        if !self.rechecks {
            return Ok(Recheck::Unknown);
        }
        if account.is_empty() {
            return Ok(Recheck::NoMatch);
        }
        let source = LoginSource::new(None, account);
        let question = LoginQuestion::recheck(account);
        let answer = self.respondent.ask(&source, &question).await;
        let answer = answer.map_err(|no_answer| no_answer.error)?;
        Ok(answer.recheck(account))
    }
}

impl Authenticator for ExternalBackend {
    fn name(&self) -> &'static str {
        self.respondent.section()
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
        Box::pin(async { self.respondent.probe().await.map(Some) })
    }
}
