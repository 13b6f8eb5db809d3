//! Access rules: which account may do what.
//!
//! Rules are `docker_auth`'s and mean exactly what they mean there, for they are what its
//! users have. An [`Acl`] is a list of them; it is asked a [`AclQuery`] about one account and one
//! resource, and the first rule whose conditions all hold decides which of the actions asked for
//! are granted. If no rule does, it decides nothing.
//!
//! A condition is a *pattern* against a value: a glob, or a regular expression between slashes,
//! both in Go's dialect. A pattern may have *variables*: the query's attributes (`${account}`), the
//! account's *labels* (`${labels:group}`) and *captures*, groups of the rule's own regular
//! expressions (`${account:1}`).
//!
//! Rules surprise: the first match wins, a star stops at a slash. So a decision can be
//! [explained](Acl::explain), by the same steps that make it, and there are
//! [warnings](Acl::warnings) of what is probably not intended. There is no I/O here.
//!
//! Rules may also be written for Casbin, which `docker_auth` has beside its own: [`casbin`].
//!
//! ```
//! use policy::{Acl, Conditions, AclEntry, Labels, AclOptions, AclQuery};
//!
//! let own = Conditions { account: Some("/.+/".into()), name: Some("${account}/*".into()), ..Conditions::default() };
//! let entries = vec![AclEntry { conditions: own, actions: vec!["*".into()], comment: None }];
//! let acl = Acl::compile(entries, AclOptions::default()).unwrap();
//!
//! let actions = ["pull".to_owned(), "push".to_owned()];
//! let mut query = AclQuery {
//!     account: "alice",
//!     labels: &Labels::new(),
//!     resource_type: "repository",
//!     name: "alice/app",
//!     service: "registry.example.com",
//!     ip: None,
//!     actions: &actions,
//! };
//! assert_eq!(acl.decide(&query).unwrap().granted, actions);
//!
//! query.name = "alice/team/app";
//! assert_eq!(acl.decide(&query), None);
//! let why = &acl.explain(&query).skipped[0];
//! assert_eq!((why.field.to_string().as_str(), why.expanded[0].as_str()), ("name", "alice/*"));
//! ```

mod acl;
mod captures;
pub mod casbin;
mod ceiling;
mod combinations;
mod condition;
mod entry;
mod error;
mod explanation;
mod field;
mod glob;
mod mismatch;
mod pattern;
mod query;
mod regex;
mod rule;
mod rule_index;
mod subject;
mod syntax;
mod text_pattern;
mod variables;
mod warning;

pub use acl::Acl;
pub use ceiling::{
    CeilingEntry, CeilingEntryError, CeilingRules, ScopeCeiling, StoredCeilingError,
};
pub use entry::{AclEntry, AclOptions, Conditions};
pub use error::{AclEntryError, ConditionError};
pub use explanation::{DecidingRule, Explanation, SkippedRule};
pub use field::{Attribute, Field};
pub use glob::GlobError;
pub use mismatch::{MAX_COMBINATIONS, Mismatch};
pub use query::{API_TYPE, AclDecision, AclQuery};
pub use regex::RegexError;
pub use subject::{Labels, Subject};
pub use text_pattern::TextPattern;
pub use warning::{Warning, WarningKind};
