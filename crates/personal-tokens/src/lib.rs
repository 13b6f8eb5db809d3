//! Robots and personal tokens: secrets that open less than their owner's account, and end.
//!
//! A *personal token* stands for a person's account. A *robot* has an account name of its own,
//! `robot+NAME`, and an owner: a person, or the system. Both have a *ceiling* and one secret, or two
//! while it is rotated. A secret is sent as a password or as a Bearer token. It is 256 random bits
//! with a prefix and a checksum, and only its SHA-256 is stored ([`secret`]).
//!
//! - [`PersonalTokens`] has the operations: create, list, rotate, revoke. Each change is written to
//!   the administration log in its transaction.
//! - [`TokenVerifier`] finds the token of a secret when a client logs in, and notes its last use. It
//!   is the [`OpaqueTokens`](identity::OpaqueTokens) of a chain of backends, which looks up the owner.
//!
//! ```
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let location = database::DatabaseLocation::at(directory.path().join("wharfinger.db"));
//! use std::sync::Arc;
//! use common::{Clock, SystemClock, SystemEntropy};
//! use database::{Administrator, Database};
//! use identity::AuthenticatorChain;
//! use personal_tokens::{NewToken, NewTokenHolder, PersonalTokens, TokenPolicy, parse_ceiling};
//!
//! let database = Database::open_exclusive(&location)?;
//! let tokens = PersonalTokens::new(database, TokenPolicy::default(), Arc::new(SystemEntropy));
//! let robot = NewToken {
//!     holder: NewTokenHolder::Robot { name: "ci".parse()?, owner: None },
//!     ceiling: parse_ceiling(&["repository:team/*:pull,push"])?,
//!     networks: Vec::new(),
//!     lifetime: None,
//! };
//! let by = Administrator::SystemUser("root (uid 0)".into());
//! let owners = AuthenticatorChain::new(Vec::new());
//! let created = tokens.create(robot, &owners, &by, SystemClock.now()).await?;
//! assert_eq!(created.token.account(), "robot+ci");
//! assert!(created.secret.expose().starts_with("whb_"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```

mod ceiling;
mod creation;
mod error;
mod log;
mod name;
mod operations;
mod policy;
mod rows;
pub mod secret;
mod token;
mod verifier;

pub use ceiling::{CeilingTextError, parse_ceiling, read_ceiling};
pub use creation::{NewToken, NewTokenHolder};
pub use error::{MAX_NETWORKS, PersonalTokensError};
pub use name::{TokenName, TokenNameError};
pub use operations::{CreatedSecret, MAX_TOKENS_LISTED, PersonalTokens, Rotation};
pub use policy::TokenPolicy;
pub use token::{LastUse, PersonalToken, TokenFilter, TokenKind, TokenPosition, TokenSecret};
pub use verifier::{NOTICED_WITHIN, TokenVerifier};

/// The section in the configuration, and the name under which sessions and logs have such logins.
pub const SECTION: &str = "personal_tokens";
