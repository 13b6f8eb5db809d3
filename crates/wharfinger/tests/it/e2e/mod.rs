//! End to end: our server between registries and clients of other projects, all of them the
//! real programs.
//!
//! A [`World`](world::World) is one server of ours with three registries behind it, each of which
//! accepts another kind of token. Every client asks the same there: it pushes what its user may push,
//! is refused what its user may not, and pulls without a login what is public.

mod compose;
mod containerd;
mod containers;
mod crane;
mod docker;
mod ed25519;
pub(crate) mod ours;
mod proxy;
mod replicas;
mod seeds;
pub(crate) mod world;
