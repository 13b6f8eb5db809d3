//! End to end: our server between other people's registries and other people's clients, all of them
//! the real programs.
//!
//! A [`World`](world::World) is one server of ours with three registries behind it, each of which
//! believes another kind of token. Every client is led through the same questions there: may it
//! push what its user may push, is it refused what its user may not, and does anonymous get what
//! everybody may have.

mod compose;
mod containerd;
mod containers;
mod crane;
mod docker;
mod ed25519;
pub(crate) mod ours;
mod proxy;
mod seeds;
pub(crate) mod world;
