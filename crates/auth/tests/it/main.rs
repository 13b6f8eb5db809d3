//! The token server without a socket: requests in, responses out.

mod endpoint;
mod events;
mod limits;
mod refresh;
mod sessions;
mod support;
