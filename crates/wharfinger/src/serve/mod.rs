//! `serve`: sockets, connections, reload and shutdown.
//!
//! [`server`] runs all of it, [`background_tasks`] go on beside the requests, and [`server_end`] ends it.
//! [`services`] makes the services of one configuration, [`persistent_state`] holds what outlives a
//! configuration, and [`mounts`] says which service has which paths.

mod accept;
mod access_log;
mod adoption;
mod api;
mod audit;
pub(crate) mod backends;
mod background_tasks;
mod body;
mod bounded_reads;
pub(crate) mod bucket;
mod certificates;
mod challenge_listener;
mod client_stream;
mod collection;
mod connection;
mod connection_limit;
mod connection_room;
mod context;
mod copied_database;
mod draining;
mod event_log;
mod file_access;
mod file_snapshot;
mod handshake;
mod health;
mod heartbeat;
mod http2_streams;
mod http_connection;
mod jwks;
mod known_platforms;
mod lingering_close;
mod listen;
pub(crate) mod managed_accounts;
mod measured_handler;
mod metrics;
#[cfg_attr(not(feature = "mongo"), path = "mongo_absent.rs")]
mod mongo;
mod mounts;
mod notifications;
mod observers;
mod operators;
mod outbox_kind;
mod outbox_writers;
mod persistent_state;
pub(crate) mod quotas;
mod readiness;
mod registry;
mod registry_state;
mod reload;
mod request_activity;
mod request_body;
mod request_spans;
pub(crate) mod retention;
mod scratch_directory;
mod server;
mod server_end;
mod service;
mod services;
mod shared_check;
mod shared_failures;
pub(crate) mod shared_registry;
mod shutdown_phase;
pub(crate) mod sign_in_pages;
pub(crate) mod stored_policies;
mod tags;
#[cfg(test)]
mod test_storage;
mod throttled_warning;
mod token_services;
mod waiting;
mod work_schedule;
mod write_timeout;

pub(crate) use self::server::{LogOverrides, run};
