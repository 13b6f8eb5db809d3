//! The registry as the program serves it and looks after it: alone, beside its commands, and in
//! registry:2's place.

mod adopt;
mod adopt_bucket;
mod backup;
mod bucket;
mod commands;
mod copy;
mod first_start;
mod gc_beside;
mod immutable;
mod key_sets;
pub(crate) mod layout;
pub(crate) mod memory;
mod public_url;
mod quotas;
mod redirects;
pub(crate) mod registry_2;
mod retention;
mod retention_crashes;
mod sparse;
pub(crate) mod transfers;
mod validation;
mod wire;
pub(crate) mod world;
