//! The accounts of a section as a backend of logins.

use std::sync::Arc;

use common::BoxFuture;
use identity::password::HashCost;
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    CurrentCredentials, Identity, LoginSource, PasswordCheck, PasswordVerifier, Proof, Recheck,
    StoredHash,
};
use policy::{Labels, Subject};

use crate::NamedPassword;
use crate::accounts::{
    BCRYPT_COST, RevalidationOutcome, SignInAccounts, SignInError, StoredAccount,
};
use crate::provider::ProviderError;
use crate::store::TokenStoreError;

/// Logs in the users of one section with the passwords that they made on its page.
pub struct SignInBackend {
    accounts: SignInAccounts,
    verifier: Arc<PasswordVerifier>,
    /// Whether the provider is asked when its last answer is too old.
    revalidates: bool,
}

impl SignInBackend {
    /// A backend for these accounts.
    #[must_use]
    pub fn new(accounts: SignInAccounts, verifier: Arc<PasswordVerifier>) -> Self {
        Self {
            accounts,
            verifier,
            revalidates: true,
        }
    }

    /// What it costs to find that a password is not the one of a record.
    #[must_use]
    pub fn cost() -> HashCost {
        HashCost::bcrypt(1 << BCRYPT_COST)
    }

    /// The same backend, which takes what is stored as it is: for commands, which only look.
    #[must_use]
    pub fn without_revalidation(self) -> Self {
        Self {
            revalidates: false,
            ..self
        }
    }

    async fn answer(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let Some(credentials) = proof.password().filter(|it| !it.account.is_empty()) else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let found = self.accounts.find(&credentials.account).await;
        let Some(account) = found.map_err(|error| self.failed(error))? else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let credential = match account.document.find(&credentials.password) {
            Some(password) => password.fingerprint(),
            None => match self.check_bcrypt(&account, proof, source).await? {
                PasswordCheck::Match(credential) => credential,
                PasswordCheck::Mismatch(rejection) => {
                    return Ok(AuthenticationOutcome::Rejected(rejection));
                }
            },
        };
        match self.labels(&account).await? {
            Some(labels) => {
                let subject = Subject {
                    account: account.name,
                    labels,
                };
                let identity = Identity::new(subject).with_credential(credential);
                Ok(AuthenticationOutcome::Accepted(identity))
            }
            None => Ok(AuthenticationOutcome::Rejected(
                self.verifier.reject(proof, source).await?,
            )),
        }
    }

    /// Verifies a password that this server did not make: with the one hash that `docker_auth` may
    /// have left.
    async fn check_bcrypt(
        &self,
        account: &StoredAccount,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<PasswordCheck, AuthenticationError> {
        let hash = account.document.bcrypt(&account.record.docker_password);
        match hash {
            Some(text) => {
                let hash = StoredHash {
                    backend: self.accounts.section(),
                    account: &account.name,
                    text,
                };
                hash.check(&self.verifier, proof, source).await
            }
            None => {
                let rejection = self.verifier.reject(proof, source).await?;
                Ok(PasswordCheck::Mismatch(rejection))
            }
        }
    }

    /// The labels of now; `None` if the provider does not vouch for the account.
    async fn labels(&self, account: &StoredAccount) -> Result<Option<Labels>, BackendError> {
        if !self.revalidates {
            return Ok(Some(account.record.labels.clone()));
        }
        match self.accounts.revalidated(account).await {
            Ok(RevalidationOutcome::Valid(labels)) => Ok(Some(labels)),
            Ok(RevalidationOutcome::Refused(_) | RevalidationOutcome::Gone) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn current(&self, name: &str) -> Result<Recheck, BackendError> {
        let found = self.accounts.find(name).await;
        let Some(account) = found.map_err(|error| self.failed(error))? else {
            return Ok(Recheck::NoMatch);
        };
        let Some(labels) = self.labels(&account).await? else {
            return Ok(Recheck::NoMatch);
        };
        let credentials = account
            .passwords()
            .iter()
            .map(NamedPassword::fingerprint)
            .collect();
        Ok(Recheck::Present {
            subject: Subject {
                account: account.name,
                labels,
            },
            credentials: CurrentCredentials::Known(credentials),
        })
    }

    fn failed(&self, error: impl Into<Arc<SignInError>>) -> BackendError {
        let error = error.into();
        let section = self.accounts.section();
        match &*error {
            SignInError::Provider(ProviderError::Unavailable { .. })
            | SignInError::Store(TokenStoreError::Unavailable(_))
            | SignInError::Contention(_)
            | SignInError::Lost => BackendError::unavailable(section, error),
            SignInError::Provider(ProviderError::Broken(_) | ProviderError::Refused(_))
            | SignInError::Store(TokenStoreError::Broken(_))
            | SignInError::Record { .. }
            | SignInError::Entropy(_)
            | SignInError::Hash => BackendError::broken(section, error),
        }
    }
}

impl Authenticator for SignInBackend {
    fn name(&self) -> &'static str {
        self.accounts.section()
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

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(self.current(account))
    }
}
