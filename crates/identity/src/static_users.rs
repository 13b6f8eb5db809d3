//! Accounts from the configuration (`users`) or from an htpasswd file (`users_htpasswd`).

use std::sync::Arc;

use crate::accounts::{accepted, subject};
use crate::verifier::{PasswordVerifier, Verdict};
use crate::{
    Accounts, Answer, Answering, Authenticator, BackendError, Credentials, Glance, NoAnswer,
    Origin, Recheck, Stamp,
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

    async fn answer(&self, credentials: &Credentials, origin: &Origin) -> Result<Answer, NoAnswer> {
        let name = &credentials.account;
        let Some(account) = self.accounts.find(name) else {
            return Ok(Answer::NoMatch);
        };
        if account.passwords.is_empty() {
            return Ok(Answer::Accepted(accepted(
                name,
                account,
                Stamp::NO_PASSWORD,
            )));
        }
        Ok(
            match self
                .verifier
                .verify(account, &credentials.password, origin)
                .await?
            {
                Verdict::Right(stamp) => Answer::Accepted(accepted(name, account, stamp)),
                Verdict::Wrong(refusal) => Answer::Refused(refusal),
            },
        )
    }
}

impl Authenticator for StaticUsers {
    fn glance(&self, name: &str) -> Glance {
        match self.accounts.find(name) {
            None => Glance::NoMatch,
            Some(account) if account.passwords.is_empty() => {
                Glance::Open(accepted(name, account, Stamp::NO_PASSWORD))
            }
            Some(_) => Glance::Ask,
        }
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        origin: &'a Origin,
    ) -> Answering<'a, Result<Answer, NoAnswer>> {
        Box::pin(self.answer(credentials, origin))
    }

    fn recheck<'a>(&'a self, name: &'a str) -> Answering<'a, Result<Recheck, BackendError>> {
        let answer = self
            .accounts
            .find(name)
            .map_or(Recheck::NoMatch, |account| Recheck::Valid {
                subject: subject(name, account),
                stamps: account.stamps(),
            });
        Box::pin(std::future::ready(Ok(answer)))
    }
}
