//! The program as its users run it: the built binary, and real registries, engines and clients around it.

mod bad_input;
mod e2e;
mod hash;
mod inspect_matrix;
mod layers;
mod reload;
mod replay;
mod token_endpoint;
mod wire;
