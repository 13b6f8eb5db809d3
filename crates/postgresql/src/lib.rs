//! Connections to PostgreSQL: addresses, TLS, a pool, statements, transactions.
//!
//! A [`PostgresLocation`] says which servers there are and how they are reached. A [`PostgresPool`]
//! keeps a bounded number of connections to the one of them that accepts writes, and opens nothing
//! before it is needed. A statement is prepared once for each connection. Behind a pooler such as
//! `PgBouncer`, which gives each transaction another connection, statements have no names, and each
//! still takes one round trip.
//!
//! ```
//! use postgresql::{PoolSettings, PostgresLocation, PostgresPool};
//!
//! let url = "postgres://registry:secret@db1.example.com,db2.example.com/registry";
//! let location = PostgresLocation::parse(url)?;
//! assert_eq!(
//!     location.to_string(),
//!     "postgres://registry@db1.example.com:5432,db2.example.com:5432/registry"
//! );
//! let pool = PostgresPool::new(location, PoolSettings::default());
//! # let _ = pool;
//! # Ok::<(), postgresql::LocationError>(())
//! ```

mod bound_stream;
mod commit;
mod connection;
mod error;
mod jitter;
mod location;
mod pool;
mod statements;
mod tls;
mod transaction;
mod untyped;

pub use connection::{PostgresConnection, SessionTimeouts};
pub use error::{PostgresError, PostgresServerError};
pub use location::{
    LocationError, PemSource, PostgresHost, PostgresLocation, PostgresTls, PostgresTlsSettings,
    TargetSession,
};
pub use pool::{PoolSettings, PoolStatistics, PooledConnection, PostgresPool};
pub use tokio_postgres::{Column, Row, types};
pub use transaction::{IsolationLevel, Transaction};
