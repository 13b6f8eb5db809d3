//! Connections to real servers: `cargo test -p postgresql --test it`.

mod statements;
mod support;
