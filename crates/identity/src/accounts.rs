//! Accounts that are written down: names, passwords, labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{Labels, Subject};

use crate::password::{HashCost, PasswordHash};
use crate::{CredentialFingerprint, Identity};

/// One account: any of its passwords lets in, and with none at all, any password does.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The hashes of its passwords.
    pub passwords: Vec<PasswordHash>,
    /// What rules may match besides the name.
    pub labels: Labels,
}

impl Account {
    /// What it costs to find that a password is none of this account's.
    #[must_use]
    pub fn work(&self) -> HashCost {
        self.passwords.iter().map(PasswordHash::work).sum()
    }

    /// The fingerprints of its credentials; without a password, the one that stands for that.
    pub(crate) fn fingerprints(&self) -> Vec<CredentialFingerprint> {
        match &self.passwords[..] {
            [] => vec![CredentialFingerprint::NO_PASSWORD],
            passwords => passwords.iter().map(PasswordHash::fingerprint).collect(),
        }
    }
}

/// Accounts by name; the empty name is the anonymous account.
#[derive(Clone, Debug, Default)]
pub struct Accounts(BTreeMap<String, Arc<Account>>);

impl Accounts {
    /// Adds an account.
    ///
    /// # Errors
    /// When there is one of that name already, which stays as it is.
    pub fn add(&mut self, name: String, account: Account) -> Result<(), DuplicateAccount> {
        if self.0.contains_key(&name) {
            return Err(DuplicateAccount { name });
        }
        self.0.insert(name, Arc::new(account));
        Ok(())
    }

    /// The account of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Account>> {
        self.0.get(name)
    }

    /// Every account, in the order of the names' bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Account)> {
        self.0
            .iter()
            .map(|(name, account)| (name.as_str(), &**account))
    }
}

/// Two accounts of one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a user {name:?} already")]
pub struct DuplicateAccount {
    /// The name.
    pub name: String,
}

/// `account`, known by `name`, accepted under `credential`.
pub(crate) fn accepted(
    name: &str,
    account: &Account,
    credential: CredentialFingerprint,
) -> Identity {
    Identity {
        subject: subject(name, account),
        credential: Some(credential),
    }
}

/// `account` as policy sees it.
pub(crate) fn subject(name: &str, account: &Account) -> Subject {
    Subject {
        account: name.to_owned(),
        labels: account.labels.clone(),
    }
}
