//! Logins against an LDAP directory (RFC 4511): the section `ldap_auth`.
//!
//! A *reader* searches the entry of an account, and a bind as that entry checks the password. The
//! attributes of the entry, and the groups that name it, become labels. Without a reader, the
//! account binds first and searches for itself. The protocol is the crate `ldap3`; connections,
//! their pools and their limits are ours.
//!
//! - [`LdapAuth`] is the backend, and [`LdapSettings`] is what the configuration says.
//! - A [`DirectoryServer`] is a [`DirectoryAddress`] with what verifies it.
//! - A [`FilterTemplate`] finds entries, and a [`BindNameTemplate`] names them. Both escape what a
//!   client wrote.
//! - A [`LabelRule`] makes a label of an attribute, and a [`GroupSearch`] makes one of groups.
//!
//! ```
//! use std::{num::NonZeroUsize, sync::Arc, time::Duration};
//! use common::SystemClock;
//! use identity::{PasswordVerifier, WorkerPool, tls::ClientTls};
//! use ldap::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let address = DirectoryAddress::parse("ldaps://ldap.example.com", None)?;
//! let settings = LdapSettings {
//!     servers: vec![DirectoryServer::new(address, &ClientTls::default())?],
//!     search_as: SearchIdentity::Anonymous,
//!     base: "ou=people,dc=example,dc=com".to_owned(),
//!     filter: FilterTemplate::of_account("(uid=${account})")?,
//!     account_attribute: Some("uid".to_owned()),
//!     labels: Vec::new(),
//!     groups: None,
//!     timeouts: DirectoryTimeouts {
//!         connect: Duration::from_secs(5),
//!         operation: Duration::from_secs(10),
//!     },
//!     concurrency: NonZeroUsize::MIN,
//! };
//! let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
//! let verifier = Arc::new(PasswordVerifier::new(workers, []));
//! // No connection is opened yet.
//! let backend = LdapAuth::new(settings, verifier, Arc::new(SystemClock));
//! # Ok(())
//! # }
//! ```

mod account_state;
mod address;
mod authenticator;
mod connection;
mod distinguished_name;
mod entry;
mod error;
mod exchanges;
mod filter;
mod found_account;
mod groups;
mod isolation;
mod labels;
mod pool;
mod reader;
mod refusal;
mod settings;
mod shared_state;
mod tls;

pub use address::{DirectoryAddress, DirectoryAddressError, TlsMode};
pub use authenticator::LdapAuth;
pub use connection::{DirectoryServer, DirectoryTimeouts};
pub use distinguished_name::{BindNameError, BindNameTemplate};
pub use filter::{FilterError, FilterTemplate};
pub use groups::GroupSearch;
pub use labels::{LabelPattern, LabelPatternError, LabelRule, ValueChange};
pub use reader::ReaderCredentials;
pub use settings::{LdapSettings, SearchIdentity};
