//! The registry as the program serves it and looks after it: alone, beside its commands, and in
//! registry:2's place.

mod adopt;
mod adopt_bucket;
mod backup;
mod bucket;
pub(crate) mod commands;
mod copy;
mod first_start;
mod gc_beside;
mod key_sets;
pub(crate) mod layout;
pub(crate) mod memory;
mod public_url;
mod redirects;
pub(crate) mod registry_2;
mod sparse;
pub(crate) mod transfers;
mod wire;
