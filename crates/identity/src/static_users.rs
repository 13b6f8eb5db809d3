//! Accounts from the configuration (`users`) or from an htpasswd file (`users_htpasswd`).

use std::sync::Arc;

use common::BoxFuture;

use crate::verifier::{PasswordCheck, PasswordVerifier};
use crate::{
    Account, AccountHint, Accounts, AuthenticationError, AuthenticationOutcome, Authenticator,
    BackendError, CredentialFingerprint, CurrentCredentials, Identity, LoginSource, Proof, Recheck,
};

/// A fixed list of accounts. As in `docker_auth`, a wrong password is a rejection and asks no other
/// backend, and an account without a password takes any.
pub struct StaticUsers {
    name: &'static str,
    accounts: Accounts,
    verifier: Arc<PasswordVerifier>,
}

impl StaticUsers {
    /// A backend for `accounts`, which stand in the section `users`.
    #[must_use]
    pub fn new(accounts: Accounts, verifier: Arc<PasswordVerifier>) -> Self {
        Self {
            name: "users",
            accounts,
            verifier,
        }
    }

    /// The same backend, for accounts of another section.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    async fn answer(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let Some(credentials) = proof.password() else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let name = &credentials.account;
        let Some(account) = self.accounts.find(name) else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        if account.passwords.is_empty() {
            return Ok(AuthenticationOutcome::Accepted(without_password(
                name, account,
            )));
        }
        let password = &credentials.password;
        Ok(
            match self.verifier.verify(account, password, source).await? {
                PasswordCheck::Match(credential) => AuthenticationOutcome::Accepted(
                    Identity::new(account.subject(name)).with_credential(credential),
                ),
                PasswordCheck::Mismatch(rejection) => AuthenticationOutcome::Rejected(rejection),
            },
        )
    }
}

impl Authenticator for StaticUsers {
    fn name(&self) -> &'static str {
        self.name
    }

    fn hint(&self, name: &str) -> AccountHint {
        match self.accounts.find(name) {
            None => AccountHint::NoMatch,
            Some(account) if account.passwords.is_empty() => {
                AccountHint::AnyPassword(without_password(name, account))
            }
            Some(_) => AccountHint::NeedsProof,
        }
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.answer(proof, source))
    }

    fn recheck<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        let known = self
            .accounts
            .find(name)
            .map_or(Recheck::NoMatch, |account| Recheck::Present {
                subject: account.subject(name),
                credentials: CurrentCredentials::Known(account.fingerprints()),
            });
        Box::pin(std::future::ready(Ok(known)))
    }
}

fn without_password(name: &str, account: &Account) -> Identity {
    Identity::new(account.subject(name)).with_credential(CredentialFingerprint::NO_PASSWORD)
}
