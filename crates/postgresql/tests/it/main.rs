//! Connections to real servers: `cargo test -p postgresql --test it`.

mod outages;
mod pgbouncer;
mod statements;
mod support;
mod tls;
