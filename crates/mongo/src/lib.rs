//! Logins and rules from MongoDB.
//!
//! The documents are those of `docker_auth`. [`MongoUsers`] is a backend of logins, and
//! [`MongoRules`] a store of rules for [`auth::StoredRules`]. Both have a client of their own, which
//! [`MongoSettings`] describes. Nothing is connected before it is needed.
//!
//! ```
//! use std::{num::NonZeroU32, time::Duration};
//! use mongo::*;
//!
//! let address = MongoAddress::from_uri("mongodb://reader:secret@db.example.com/?tls=true")?;
//! let rules = MongoRules::new("acl_mongo", MongoSettings {
//!     address,
//!     database: "docker_auth".to_owned(),
//!     collection: "acl".to_owned(),
//!     timeout: Duration::from_secs(10),
//!     selection: ServerSelection::Patient,
//!     connections: NonZeroU32::MIN,
//! });
//! # use auth::RuleStore; assert_eq!(rules.name(), "acl_mongo");
//! # Ok::<(), MongoAddressError>(())
//! ```

mod address;
mod collection;
mod error;
mod rules;
mod settings;
mod uri_error;
mod user;
mod users;

pub use address::{MongoAddress, MongoAddressError, MongoLogin, MongoServer, MongoTls};
pub use mongodb::options::AuthMechanism;
pub use rules::MongoRules;
pub use settings::{MongoSettings, ServerSelection};
pub use users::MongoUsers;
