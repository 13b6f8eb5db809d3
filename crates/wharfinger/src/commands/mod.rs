//! One file per command. Each has its arguments (a `clap` struct, whose doc comments are its help) and
//! `run(arguments) -> Result<ExitCode, Failure>`.

pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod hash;
pub(crate) mod inspect;
mod key_file;
pub(crate) mod keys;
pub(crate) mod registry;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod token;
pub(crate) mod up;
