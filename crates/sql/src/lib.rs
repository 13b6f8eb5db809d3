//! Logins and rules from an SQL database: PostgreSQL, MySQL and MariaDB, SQLite.
//!
//! The tables are those that `docker_auth` makes with xorm, or a query of the operator's own names
//! others. [`SqlUsers`] is a backend of logins, and [`SqlRules`] a store of rules for
//! [`auth::StoredRules`]. Both have an [`SqlDatabase`] of their own, which a [`ConnectionString`]
//! names as the Go drivers write it. Nothing is connected before it is needed.
//!
//! ```
//! use std::{num::NonZeroUsize, sync::Arc, time::Duration};
//! use sql::*;
//!
//! let text = "auth:secret@tcp(db.example.com:3306)/auth?tls=true";
//! let to = ConnectionString::parse(DatabaseType::MySql, text, &|_| None)?;
//! let connections = NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN);
//! let limit = Duration::from_secs(5);
//! let database = SqlDatabase::new(&to, connections, limit, Arc::new(common::SystemClock));
//! let rules = SqlRules::new("acl_sql", database, SqlQuery::of_rules(to.database_type()));
//! # use auth::RuleStore; assert_eq!(rules.name(), "acl_sql");
//! # Ok::<(), DsnError>(())
//! ```

mod connection;
mod database;
mod dsn;
mod error;
mod labels;
mod query;
mod row;
mod rules;
mod table;
mod users;

pub use database::SqlDatabase;
pub use dsn::{ConnectionString, DatabaseType, DsnError};
pub use query::{ACCOUNT, SqlQuery, SqlQueryError};
pub use rules::SqlRules;
pub use users::SqlUsers;
