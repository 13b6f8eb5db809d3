//! The program as its users run it: the built binary, and real registries, engines and clients around it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test on the spot")]

mod adopt;
mod bad_input;
mod bounds;
mod client;
mod deploy;
mod e2e;
mod explain;
mod first_start;
mod gc_beside;
mod hash;
mod inspect_matrix;
mod key_sets;
mod layers;
mod layout;
mod lifetime;
mod manual;
mod memory;
mod programs;
mod public_url;
mod registry_2;
mod registry_commands;
mod registry_wire;
mod reload;
mod replay;
mod token_endpoint;
mod tools;
mod transfers;
mod up;
mod wire;
