//! Rules in the database that make tags immutable, which commands and the API manage.
//!
//! - An [`ImmutableTagList`] has the operations on rules. Each change is logged with the
//!   [`Administrator`](database::Administrator) who made it.
//! - [`StoredImmutableTags`] are the rules in the memory of a server, which notices what commands and
//!   other servers have changed.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//!
//! use common::SystemClock;
//! use database::{Administrator, Database, DatabaseLocation, Precondition};
//! use immutable_tags::{ImmutableTagList, NewImmutableTagRule};
//!
//! let location = DatabaseLocation::at(directory.path().join("wharfinger.db"));
//! let database = Database::open_exclusive(&location).unwrap();
//! let list = ImmutableTagList::new(database, Arc::new(SystemClock));
//! let by = Administrator::SystemUser("root (uid 0)".to_owned());
//! let new = NewImmutableTagRule {
//!     repository: "prod/**".parse().unwrap(),
//!     tag: "v*".parse().unwrap(),
//!     except: vec![],
//! };
//! let added = list.add(&by, new, Precondition::Unconditional).await.unwrap();
//! assert_eq!(list.list().await.unwrap(), [added]);
//! # });
//! ```

mod live;
mod rule;
mod rule_list;
mod rule_rows;

pub use live::{NOTICED_WITHIN, StoredImmutableTags};
pub use rule::{
    ImmutableTagError, ListedImmutableTagRule, MAX_EXCEPTIONS, MAX_TAG_RULES, NewImmutableTagRule,
};
pub use rule_list::ImmutableTagList;
