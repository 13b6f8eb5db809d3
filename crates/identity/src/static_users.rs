//! Accounts from the configuration (`users`) or from an htpasswd file (`users_htpasswd`).

use std::sync::Arc;

use crate::accounts::{accepted, subject};
use crate::verifier::{PasswordCheck, PasswordVerifier};
use crate::{
    AccountHint, Accounts, AuthFuture, AuthenticationError, AuthenticationOutcome, Authenticator,
    BackendError, CredentialFingerprint, Credentials, LoginSource, Recheck,
};

/// Accounts that are written down. A wrong password is a refusal and never asks another backend; an
/// account without a password takes any. (As `docker_auth`'s static backend does.)
pub struct StaticUsers {
    accounts: Accounts,
    verifier: Arc<PasswordVerifier>,
}

impl StaticUsers {
    /// A backend that knows `accounts`.
    #[must_use]
    pub fn new(accounts: Accounts, verifier: Arc<PasswordVerifier>) -> Self {
        Self { accounts, verifier }
    }

    async fn answer(
        &self,
        credentials: &Credentials,
        origin: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let name = &credentials.account;
        let Some(account) = self.accounts.find(name) else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        if account.passwords.is_empty() {
            return Ok(AuthenticationOutcome::Accepted(accepted(
                name,
                account,
                CredentialFingerprint::NO_PASSWORD,
            )));
        }
        Ok(
            match self
                .verifier
                .verify(account, &credentials.password, origin)
                .await?
            {
                PasswordCheck::Match(credential) => {
                    AuthenticationOutcome::Accepted(accepted(name, account, credential))
                }
                PasswordCheck::Mismatch(refusal) => AuthenticationOutcome::Rejected(refusal),
            },
        )
    }
}

impl Authenticator for StaticUsers {
    fn hint(&self, name: &str) -> AccountHint {
        match self.accounts.find(name) {
            None => AccountHint::NoMatch,
            Some(account) if account.passwords.is_empty() => AccountHint::AnyPassword(accepted(
                name,
                account,
                CredentialFingerprint::NO_PASSWORD,
            )),
            Some(_) => AccountHint::NeedsProof,
        }
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        origin: &'a LoginSource,
    ) -> AuthFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.answer(credentials, origin))
    }

    fn recheck<'a>(&'a self, name: &'a str) -> AuthFuture<'a, Result<Recheck, BackendError>> {
        let answer = self
            .accounts
            .find(name)
            .map_or(Recheck::NoMatch, |account| Recheck::Valid {
                subject: subject(name, account),
                fingerprints: account.fingerprints(),
            });
        Box::pin(std::future::ready(Ok(answer)))
    }
}
