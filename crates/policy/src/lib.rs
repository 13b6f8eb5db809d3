//! Who may do what.

mod acl;
mod captures;
mod combinations;
mod entry;
mod error;
mod explanation;
mod field;
mod glob;
pub mod ip;
mod pattern;
mod query;
mod regex;
mod rule;
mod subject;
mod variables;
mod warnings;

pub use acl::Acl;
pub use combinations::MAX_COMBINATIONS;
pub use entry::{Conditions, Entry, Options};
pub use error::{EntryError, Problem, Warning, WarningKind};
pub use explanation::{Decided, Explanation, Passed, Reason};
pub use field::{Attribute, Field};
pub use glob::GlobError;
pub use query::{Decision, Query};
pub use regex::RegexError;
pub use subject::{Labels, Subject};
