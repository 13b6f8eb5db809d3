//! The API of a running server, and what clients see of it.

mod service;
mod tls;
mod tokens;
