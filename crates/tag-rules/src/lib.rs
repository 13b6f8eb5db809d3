//! Rules about tags: which repositories and which tags they are for.
//!
//! Patterns are those of `docker_auth`'s rules, as Go's [`path.Match`] reads them, with one addition:
//! `**`. A pattern matches a whole name, never a part of it.
//!
//! | written | matches |
//! |---|---|
//! | `*` | any run of characters without a `/`, the empty one too |
//! | `**` | any run of characters, `/` too |
//! | `?` | one character, but not `/` |
//! | `[a-z]`, `[^a-z]` | one character of a class, or one that is not in it; never `/` |
//!
//! A name has no character that has to be escaped, so there is no `\`. What no name can have, such as
//! `^` or `{`, is an error: the rule would never match.
//!
//! ```
//! use tag_rules::{RepositoryPattern, TagPattern};
//!
//! let releases: TagPattern = "v[0-9]*".parse().unwrap();
//! assert!(releases.matches(&"v1.2".parse().unwrap()));
//! assert!(!releases.matches(&"dev1.2".parse().unwrap()));
//!
//! let production: RepositoryPattern = "prod/**".parse().unwrap();
//! assert!(production.matches(&"prod/a/b".parse().unwrap()));
//! assert!("prod/{a,b}".parse::<RepositoryPattern>().is_err());
//! ```
//!
//! [`path.Match`]: https://pkg.go.dev/path#Match

mod glob;
mod immutability;
mod name_search;
mod pattern;
mod pattern_error;

pub use immutability::{ImmutabilityRule, ImmutabilityRules, RuleOrigin};
pub use pattern::{RepositoryPattern, TagPattern};
pub use pattern_error::{MAX_PATTERN, PatternError, PatternProblem};
