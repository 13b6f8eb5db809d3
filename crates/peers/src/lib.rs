//! Starts the real programs that the tests speak with: registries, container engines, clients.
//!
//! What a token server is worth shows in what other people's programs make of its tokens, so the
//! end-to-end tests run those programs themselves. A *peer* is one of them: a *daemon*
//! ([`RunningRegistry`], [`Docker`], …) lives in a temporary directory, listens on a loopback port that
//! was free, is waited for until it answers, writes its log to a file, and is stopped with
//! everything it started when the value is dropped, or when the test's process dies. A *client*
//! ([`skopeo`], [`crane`], …) runs once, within a time limit, and hands back its [`Output`].
//!
//! A peer that is not installed fails the test with the line that installs it; nothing is skipped.
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
    reason = "this crate is part of the tests: a peer that does not do its part fails the test on the spot"
)]

mod certificate;
mod client;
mod containerd;
mod daemon;
mod docker;
pub mod http;
mod image;
mod network;
mod output;
mod port;
mod program;
mod proxy;
mod registry;
mod relay;
mod server;
mod wait;
mod web;

pub use certificate::{TestCertificate, TestKeyKind};
pub use client::{Client, buildah, crane, podman, regctl, skopeo};
pub use containerd::Containerd;
pub use daemon::{Daemon, Signal};
pub use docker::Docker;
pub use image::Image;
pub use network::in_network;
pub use output::{Output, run, run_with_input};
pub use program::program;
pub use proxy::Proxy;
pub use registry::{
    Auth, RegistryConfig, RunningRegistry, Trust, registry_of, registry2, registry3,
};
pub use relay::Relay;
pub use server::Server;
pub use web::{Nginx, Php};

#[cfg(test)]
mod tests;
