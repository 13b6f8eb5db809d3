//! Accounts that are written down: names, passwords, labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{Labels, Subject};

use crate::password::{PasswordHash, Work};
use crate::{Accepted, Stamp};

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
    pub fn work(&self) -> Work {
        self.passwords.iter().map(PasswordHash::work).sum()
    }

    /// The stamps of its credentials; without a password, the one that stands for that.
    pub(crate) fn stamps(&self) -> Vec<Stamp> {
        match &self.passwords[..] {
            [] => vec![Stamp::NO_PASSWORD],
            passwords => passwords.iter().map(PasswordHash::stamp).collect(),
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
    pub fn add(&mut self, name: String, account: Account) -> Result<(), Duplicate> {
        if self.0.contains_key(&name) {
            return Err(Duplicate { name });
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
pub struct Duplicate {
    /// The name.
    pub name: String,
}

/// `account`, known by `name`, accepted under `stamp`.
pub(crate) fn accepted(name: &str, account: &Account, stamp: Stamp) -> Accepted {
    Accepted {
        subject: subject(name, account),
        stamp: Some(stamp),
    }
}

/// `account` as policy sees it.
pub(crate) fn subject(name: &str, account: &Account) -> Subject {
    Subject {
        account: name.to_owned(),
        labels: account.labels.clone(),
    }
}
