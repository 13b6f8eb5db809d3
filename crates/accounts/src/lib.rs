//! Accounts and rules in the embedded database, which commands and the API manage.
//!
//! - An [`AccountStore`] has the operations on accounts, a [`RuleList`] those on rules. Both are
//!   functions of this library, because commands and the API do the same. Each change is logged with
//!   the [`Administrator`](database::Administrator) who made it.
//! - [`DatabaseAccounts`] is the backend of logins, [`DatabaseRules`] the policy.
//! - A [`ChangeCounter`] tells a server what commands have changed, within a second.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//!
//! use accounts::AccountStore;
//! use common::{Secret, SystemClock, SystemEntropy};
//! use database::{Administrator, Database, DatabaseLocation};
//!
//! let location = DatabaseLocation::at(directory.path().join("wharfinger.db"));
//! let database = Database::open_exclusive(&location).unwrap();
//! let store = AccountStore::new(database, Arc::new(SystemClock), Arc::new(SystemEntropy));
//! let by = Administrator::SystemUser("root (uid 0)".to_owned());
//! let labels = [("team".to_owned(), vec!["red".to_owned()])].into();
//! let bob = store.add(&by, &"bob".parse().unwrap(), &Secret::from("sesame"), labels).await.unwrap();
//! assert!(!bob.is_disabled);
//! assert_eq!(store.list("", 100).await.unwrap(), [bob]);
//! # });
//! ```

mod backend;
mod changes;
mod error;
mod labels;
mod listed_rule;
mod name;
mod policy_rules;
mod rule_document;
mod rule_list;
mod rule_rows;
mod store;
mod update;

pub use backend::DatabaseAccounts;
pub use changes::{ChangeCounter, NOTICED_WITHIN};
pub use error::{AccountError, MAX_PASSWORD};
pub use labels::{LabelChange, LabelError, MAX_LABELS};
pub use listed_rule::{ListedRule, MAX_RULES, RuleListError, RulePlace};
pub use name::{AccountName, AccountNameError, MAX_ACCOUNT_NAME};
pub use policy_rules::DatabaseRules;
pub use rule_document::{MAX_RULE, rule_document};
pub use rule_list::{RuleDoubt, RuleList};
pub use store::{AccountRecord, AccountStore, MAX_ACCOUNTS_LISTED};
pub use update::AccountUpdate;

/// The name of the backend and of the policy: their section in the configuration.
pub const SECTION: &str = "accounts";
