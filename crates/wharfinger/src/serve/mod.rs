//! `serve`: sockets, connections, reload and shutdown.
//!
//! [`server`] runs all of it. [`services`] makes the services of one configuration, [`persistent_state`]
//! holds what outlives a configuration, and [`mounts`] says which service has which paths.

mod accept;
mod access_log;
mod adoption;
mod api;
mod audit;
pub(crate) mod backends;
mod body;
mod bounded_reads;
pub(crate) mod bucket;
mod client_stream;
mod collection;
mod connection;
mod connection_limit;
mod context;
mod copied_database;
mod draining;
mod event_log;
mod file_access;
mod file_snapshot;
mod heartbeat;
mod http2_streams;
mod jwks;
mod known_platforms;
mod lingering_close;
mod listen;
pub(crate) mod managed_accounts;
#[cfg_attr(not(feature = "mongo"), path = "mongo_absent.rs")]
mod mongo;
mod mounts;
mod observers;
mod persistent_state;
mod readiness;
mod registry;
mod registry_state;
mod reload;
mod request_body;
mod scratch_directory;
mod server;
mod service;
mod services;
mod shared_check;
mod shared_failures;
pub(crate) mod shared_registry;
pub(crate) mod sign_in_pages;
pub(crate) mod stored_policies;
mod waiting;
mod write_timeout;

pub(crate) use self::server::{LogOverrides, run};
