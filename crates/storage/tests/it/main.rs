//! Storage as a registry meets it: one suite for whatever implements a seam, and the ways to break
//! it.
//!
//! [`world`] alone knows which implementations are tried.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod backup;
mod blobs;
mod collecting;
mod conformance;
mod content;
mod content_suite;
mod damaged;
mod data_directory;
mod distribution;
mod dropped;
mod durable;
mod faults;
mod first_start;
mod interleavings;
mod kill;
mod memory;
mod outbox;
mod postgres;
mod properties;
mod quotas;
mod real_registries;
mod recovery;
mod relocation;
mod replicas;
mod retention;
mod uploads;
mod world;
