//! The papers of a container registry.
//!
//! A registry that delegates authorization sends its callers to a token server for a signed, short-lived token that says
//! what its bearer may do (Distribution's [token authentication]). This crate holds every noun of that exchange and does
//! no I/O: what is asked for ([`Scope`]), what is granted ([`Access`]), the keys that sign, the ids a registry knows
//! them by, and the tokens themselves.
//!
//! ```
//! let scope: token::Scope = "repository:samalba/my-app:pull,push".parse().unwrap();
//! assert_eq!(scope.resource_type, "repository");
//! assert_eq!(scope.name, "samalba/my-app");
//! assert_eq!(scope.actions, ["pull", "push"]);
//! ```
//!
//! [token authentication]: https://distribution.github.io/distribution/spec/auth/token/

mod access;
mod environment;
mod scope;

pub use access::Access;
pub use environment::{Clock, Entropy, EntropyError, SystemClock, SystemEntropy, unix_seconds};
pub use scope::{Scope, ScopeError};
