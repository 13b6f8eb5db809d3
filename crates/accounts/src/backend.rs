//! The accounts as a backend of logins.

use std::sync::Arc;

use common::BoxFuture;
use identity::password::{Argon2id, HashCost};
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    CredentialFingerprint, CurrentCredentials, Identity, LoginSource, PasswordCheck,
    PasswordVerifier, Proof, Recheck, StoredHash,
};
use policy::Subject;
use quick_cache::sync::Cache;

use crate::changes::ChangeCounter;
use crate::error::AccountError;
use crate::store::{AccountRow, AccountStore};
use crate::{AccountName, SECTION};

/// Logs in the accounts of an [`AccountStore`].
///
/// Each login and each recheck of a session reads the account anew. Logins that `identity` remembers,
/// and the owners of tokens, need the [`ChangeCounter`].
pub struct DatabaseAccounts {
    store: AccountStore,
    verifier: Arc<PasswordVerifier>,
    changes: Option<ChangeCounter>,
    /// Owners of tokens by name, so that a token's use needs no query.
    owners: Cache<String, KnownOwner>,
}

/// The owner of a token as it was read after so many changes.
#[derive(Clone)]
struct KnownOwner {
    changes: u64,
    answer: Recheck,
}

/// How many owners are kept in memory, of about a kilobyte each.
const KEPT_OWNERS: usize = 1 << 13;

impl DatabaseAccounts {
    /// A backend for the accounts of `store`.
    #[must_use]
    pub fn new(store: AccountStore, verifier: Arc<PasswordVerifier>) -> Self {
        Self {
            store,
            verifier,
            changes: None,
            owners: Cache::new(KEPT_OWNERS),
        }
    }

    /// The same backend in a server, which remembers logins until `changes` counts one.
    #[must_use]
    pub fn noticing(self, changes: ChangeCounter) -> Self {
        Self {
            changes: Some(changes),
            ..self
        }
    }

    /// What it costs to find that a password is wrong.
    #[must_use]
    pub fn cost() -> HashCost {
        Argon2id::usual_cost()
    }

    async fn answer(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let Some(credentials) = proof.password() else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let Some(row) = self.find(&credentials.account).await? else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        if row.record.is_disabled {
            let rejection = self.verifier.reject(proof, source).await?;
            return Ok(AuthenticationOutcome::Rejected(rejection));
        }
        let hash = StoredHash {
            backend: SECTION,
            account: &row.record.name,
            text: &row.hash,
        };
        Ok(match hash.check(&self.verifier, proof, source).await? {
            PasswordCheck::Mismatch(rejection) => AuthenticationOutcome::Rejected(rejection),
            PasswordCheck::Match(_) => {
                let credential = fingerprint(&row);
                let identity = Identity::new(subject(row)).with_credential(credential);
                AuthenticationOutcome::Accepted(identity)
            }
        })
    }

    async fn current(&self, name: &str) -> Result<Recheck, BackendError> {
        let Some(row) = self.find(name).await? else {
            return Ok(Recheck::NoMatch);
        };
        if row.record.is_disabled {
            return Ok(Recheck::Disabled);
        }
        Ok(Recheck::Present {
            credentials: CurrentCredentials::Known(vec![fingerprint(&row)]),
            subject: subject(row),
        })
    }

    async fn owner(&self, name: &str) -> Result<Recheck, BackendError> {
        let Some(counter) = &self.changes else {
            return self.current(name).await;
        };
        // Before the account is read, so that a change while it is read makes it stale.
        let changes = counter.accounts();
        let kept = self.owners.get(name);
        if let Some(kept) = kept.filter(|kept| kept.changes == changes) {
            return Ok(kept.answer);
        }
        let answer = self.current(name).await?;
        let known = KnownOwner {
            changes,
            answer: answer.clone(),
        };
        self.owners.insert(name.to_owned(), known);
        Ok(answer)
    }

    async fn find(&self, name: &str) -> Result<Option<AccountRow>, BackendError> {
        // What cannot be a name is not looked up.
        if name.parse::<AccountName>().is_err() {
            return Ok(None);
        }
        self.store.row(name).await.map_err(failed)
    }
}

impl Authenticator for DatabaseAccounts {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn hint(&self, account: &str) -> AccountHint {
        match account.parse::<AccountName>() {
            Ok(_) => AccountHint::NeedsProof,
            Err(_) => AccountHint::NoMatch,
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
        Box::pin(self.current(name))
    }

    fn recheck_owner<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(self.owner(name))
    }

    fn revision(&self) -> u64 {
        let changes = self.changes.as_ref();
        changes.map_or(0, ChangeCounter::accounts)
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(async {
            let count = self.store.count().await.map_err(failed)?;
            Ok(Some(format!("{count} accounts in the database")))
        })
    }
}

/// What a session keeps of its login. It differs after the account was disabled, so that those
/// sessions stay ended when it is enabled again.
fn fingerprint(row: &AccountRow) -> CredentialFingerprint {
    CredentialFingerprint::of(&format!("{} {}", row.epoch, row.hash))
}

fn subject(row: AccountRow) -> Subject {
    Subject {
        account: row.record.name,
        labels: row.record.labels,
    }
}

fn failed(error: AccountError) -> BackendError {
    match error {
        AccountError::Database(ref cause) if cause.may_pass() => {
            BackendError::unavailable(SECTION, error)
        }
        error => BackendError::broken(SECTION, error),
    }
}
