//! Accounts of a fixed list: names, passwords, labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{Labels, Subject};

use crate::CredentialFingerprint;
use crate::password::{HashCost, PasswordHash};

/// One account. Each of its passwords is accepted. An account without a password accepts any.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The hashes of its passwords.
    pub passwords: Vec<PasswordHash>,
    /// What rules can match besides the name.
    pub labels: Labels,
}

impl Account {
    /// What it costs to find that a password is wrong.
    #[must_use]
    pub fn cost(&self) -> HashCost {
        self.passwords.iter().map(PasswordHash::cost).sum()
    }

    /// This account, whose name is `name`, as rules see it.
    pub(crate) fn subject(&self, name: &str) -> Subject {
        Subject {
            account: name.to_owned(),
            labels: self.labels.clone(),
        }
    }

    /// The fingerprints of its credentials. Having no password has a fingerprint, too.
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
    /// When the name is taken; that account stays as it is.
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

/// Two accounts have the same name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user {name:?} exists already")]
pub struct DuplicateAccount {
    /// The name.
    pub name: String,
}
