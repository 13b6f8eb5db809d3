//! Users in MongoDB.

use std::num::NonZeroUsize;
use std::sync::Arc;

use common::BoxFuture;
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    CredentialFingerprint, CurrentCredentials, FairSemaphore, Identity, LoginSource, PasswordCheck,
    PasswordVerifier, Proof, RETRY_AFTER, Recheck, SourceAddress, StoredHash, TooManyWaiting,
    UserWithHash, can_be_looked_up, costly_hashes,
};
use mongodb::bson::doc;
use policy::Subject;

use crate::collection::MongoCollection;
use crate::error::MongoError;
use crate::settings::MongoSettings;
use crate::user::{UserDocument, UserDocumentError};

/// What bcrypt hashes of a cost above 17 match.
const COSTLY: &str = r"^\$2.?\$(1[89]|[23][0-9])\$";

/// Users of a collection, found by their exact name.
///
/// As in `docker_auth`, a user without a password is accepted with any. If its name is empty, it is
/// the anonymous account.
pub struct MongoUsers {
    name: &'static str,
    collection: MongoCollection,
    turns: FairSemaphore,
    verifier: Arc<PasswordVerifier>,
}

/// What is wrong with the documents of a user.
#[derive(Debug, thiserror::Error)]
enum UserError {
    #[error("the collection has several documents with the username {0:?}")]
    Several(String),
    #[error("the document of the user {account:?} cannot be read")]
    Document {
        account: String,
        source: UserDocumentError,
    },
}

impl MongoUsers {
    /// A backend for the section `name`, which asks `concurrency` times at once at most.
    #[must_use]
    pub fn new(
        name: &'static str,
        settings: MongoSettings,
        concurrency: NonZeroUsize,
        verifier: Arc<PasswordVerifier>,
    ) -> Self {
        Self {
            name,
            turns: FairSemaphore::new(concurrency, settings.timeout),
            collection: MongoCollection::new(name, settings, "username"),
            verifier,
        }
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
        let user = {
            let turn = self.turns.acquire(source).await;
            let _permit = turn.map_err(|TooManyWaiting| AuthenticationError::Busy(RETRY_AFTER))?;
            self.find(name).await?
        };
        let Some(user) = user else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let Some(password) = &user.password else {
            if !name.is_empty() {
                let (backend, account) = (self.name, name);
                tracing::warn!(
                    backend,
                    account,
                    "this user has no password, so any password is accepted"
                );
            }
            let identity = Identity::new(self.subject(name, &user)?);
            return Ok(AuthenticationOutcome::Accepted(
                identity.with_credential(CredentialFingerprint::NO_PASSWORD),
            ));
        };
        let hash = self.hash(name, password);
        let check = hash.check(&self.verifier, proof, source);
        Ok(match check.await? {
            PasswordCheck::Mismatch(rejection) => AuthenticationOutcome::Rejected(rejection),
            PasswordCheck::Match(credential) => AuthenticationOutcome::Accepted(
                Identity::new(self.subject(name, &user)?).with_credential(credential),
            ),
        })
    }

    async fn find(&self, name: &str) -> Result<Option<UserDocument>, BackendError> {
        if !can_be_looked_up(name) {
            return Ok(None);
        }
        let found = self.collection.find(doc! { "username": name }, 2).await;
        let found = found.map_err(|error| self.failed(error))?;
        match &found[..] {
            [] => Ok(None),
            [document] => {
                let user = UserDocument::read(document);
                user.map(Some)
                    .map_err(|source| self.unreadable(name, source))
            }
            // Without the index; which of them counts would be chance.
            _ => Err(self.broken(UserError::Several(name.to_owned()))),
        }
    }

    /// Users whose hash may cost too much, ten at most.
    async fn costly_users(&self) -> Result<Vec<UserWithHash>, BackendError> {
        let costly = doc! { "password": { "$regex": COSTLY } };
        let found = self.collection.find(costly, 10).await;
        let found = found.map_err(|error| self.failed(error))?;
        let users = found.iter().filter_map(|document| {
            let name = document.get_str("username").ok()?;
            let hash = document.get_str("password").ok()?;
            Some(UserWithHash {
                name: name.to_owned(),
                hash: hash.into(),
            })
        });
        Ok(users.collect())
    }

    fn hash<'a>(&self, account: &'a str, text: &'a str) -> StoredHash<'a> {
        StoredHash {
            backend: self.name,
            account,
            text,
        }
    }

    fn subject(&self, name: &str, user: &UserDocument) -> Result<Subject, BackendError> {
        let read = user.labels();
        let read = read.map_err(|source| self.unreadable(name, source))?;
        for label in &read.lone {
            let (backend, account) = (self.name, name);
            tracing::warn!(
                backend,
                account,
                label,
                "a label is a text instead of a list; it is read as a list of one"
            );
        }
        Ok(Subject {
            account: name.to_owned(),
            labels: read.labels,
        })
    }

    async fn look_again(&self, name: &str) -> Result<Recheck, BackendError> {
        let source = LoginSource::new(SourceAddress::shared(None), name);
        let Ok(_permit) = self.turns.acquire(&source).await else {
            return Err(BackendError::unavailable(self.name, TooManyWaiting));
        };
        let Some(user) = self.find(name).await? else {
            return Ok(Recheck::NoMatch);
        };
        let credentials = match &user.password {
            None => CurrentCredentials::Known(vec![CredentialFingerprint::NO_PASSWORD]),
            Some(password) => self.hash(name, password).credentials(),
        };
        Ok(Recheck::Present {
            subject: self.subject(name, &user)?,
            credentials,
        })
    }

    fn failed(&self, error: MongoError) -> BackendError {
        match error.may_pass() {
            true => BackendError::unavailable(self.name, error),
            false => BackendError::broken(self.name, error),
        }
    }

    fn unreadable(&self, account: &str, source: UserDocumentError) -> BackendError {
        let account = account.to_owned();
        self.broken(UserError::Document { account, source })
    }

    fn broken(&self, error: UserError) -> BackendError {
        BackendError::broken(self.name, error)
    }
}

impl Authenticator for MongoUsers {
    fn name(&self) -> &'static str {
        self.name
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
        Box::pin(self.look_again(account))
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(async {
            self.collection.only_read();
            let any = self.collection.find(doc! {}, 1).await;
            let any = any.map_err(|error| self.failed(error))?;
            if any.is_empty() {
                return Ok(Some("connected; the collection is empty".to_owned()));
            }
            let found = "connected; the collection can be read";
            Ok(Some(match costly_hashes(&self.costly_users().await?) {
                Some(costly) => format!("{found}; {costly}"),
                None => found.to_owned(),
            }))
        })
    }
}
