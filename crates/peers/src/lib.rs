//! Starts the real programs that the tests talk to: registries, container engines, clients.
//!
//! A *peer* is a program that is not ours. There are two kinds:
//! - A *daemon* ([`RunningRegistry`], [`Docker`], …) runs in a temporary directory and listens on a
//!   free loopback port. Its constructor waits until it responds. Its log is a file. It ends with
//!   its children when the value is dropped, or when the test's process dies.
//! - A *client* ([`skopeo`], [`crane`], …) runs once, within a time limit, and returns its
//!   [`Output`].
//!
//! If a peer is not installed, the test fails with the line that installs it. No test is skipped.
//!
//! ```no_run
//! let registry = peers::registry2(&peers::RegistryConfig::default());
//! let answer = peers::http::get(&registry.url("/v2/"));
//! assert_eq!(answer.status, 200, "{}", registry.log());
//! ```
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "this crate is part of the tests: a peer that fails makes the test fail at once"
)]

mod breakpoint;
mod bucket;
mod buildkit;
mod certificate;
mod client;
mod containerd;
mod daemon;
mod database_server;
mod docker;
mod fake_gcs;
mod fault_proxy;
mod ferretdb;
pub mod http;
mod image;
mod mariadb;
mod minio;
mod network;
mod oidc_provider;
mod output;
mod pebble;
mod pgbouncer;
mod port;
mod postgres;
mod postgres_database;
mod postgres_proxy;
mod program;
mod prometheus;
mod proxy;
mod redis;
mod registry;
mod relay;
mod reserved_address;
mod samba;
mod server;
mod service_user;
mod slapd;
mod stub;
mod versitygw;
mod wait;
mod web;

pub use breakpoint::Breakpoint;
pub use bucket::TestBucket;
pub use buildkit::BuildKit;
pub use certificate::{TestCertificate, TestKeyKind};
pub use client::{Client, buildah, crane, helm, kubernetes_peer, podman, regctl, skopeo};
pub use containerd::Containerd;
pub use daemon::{Daemon, Signal};
pub use docker::Docker;
pub use fake_gcs::FakeGcs;
pub use fault_proxy::{Fault, FaultProxy};
pub use ferretdb::{FerretDb, FerretDbConfig};
pub use image::Image;
pub use mariadb::MariaDb;
pub use minio::Minio;
pub use network::in_network;
pub use oidc_provider::OidcProviderServer;
pub use output::{Output, run, run_with_input};
pub use pebble::{Pebble, PebbleConfig};
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use postgres_database::TestPostgresDatabase;
pub use postgres_proxy::PostgresProxy;
pub use program::program;
pub use prometheus::{Prometheus, check_metrics, promtool};
pub use proxy::Proxy;
pub use redis::{Redis, RedisCluster, RedisConfig};
pub use registry::{
    Auth, RegistryConfig, RunningRegistry, Trust, registry_of, registry2, registry3,
};
pub use relay::{ExchangeLoss, Relay};
pub use reserved_address::ReservedAddress;
pub use samba::Samba;
pub use server::Server;
pub use slapd::{Slapd, SlapdConfig};
pub use stub::{HttpStub, StubAnswer, StubRequest};
pub use versitygw::VersityGateway;
pub use wait::wait_until;
pub use web::{Nginx, ScriptServer};

#[cfg(test)]
mod tests;
